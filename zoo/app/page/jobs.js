// The jobs of the server, as its events report them, and the list of them at the head of the page.

import { element } from "regzoo/elements";
import { listen, request } from "./server.js";
import { QUALITIES, button, duration } from "./widgets.js";

export const ENDED = ["done", "failed", "cancelled"];
const STATES = { waiting: "waiting", running: "running", done: "done", failed: "\u2715 failed", cancelled: "cancelled" };

/** Return the state of a job in words: its verdict if it is done, else how far it is. */
export function stateOf({ state, ahead, percent, quality }) {
  if (state === "done") return QUALITIES[quality] ?? "done";
  if (state === "running" && percent !== null) return `running, ${Math.round(percent)} %`;
  if (state === "waiting" && ahead) return `waiting, ${ahead} ${ahead === 1 ? "job" : "jobs"} before it`;
  return STATES[state];
}

/** Ask the server to cancel a job. */
export const cancel = (id) => request(`/api/jobs/${encodeURIComponent(id)}/cancel`, { method: "POST" });

/**
 * The jobs and the progress of the run. A `change` event tells that something changed.
 *
 * One stream of events brings all of it. A public server tells each visitor of one job only, so that
 * there a stream is opened per job; `watch` hides the difference.
 */
export class Jobs extends EventTarget {
  constructor({ public: shared }, connected) {
    super();
    Object.assign(this, { shared, connected });
    this.all = new Map();
    this.run = null;
    if (!shared) listen("/api/events", this.handlers(), (on) => this.began(on));
  }

  handlers() {
    return {
      job: (job) => this.put(job),
      removed: ({ id }) => {
        this.all.delete(id);
        this.changed();
      },
      run: (run) => {
        this.run = run;
        this.changed();
      },
    };
  }

  /** A stream begins with all jobs, so those that are not in it are gone. */
  began(on) {
    if (on) this.all.clear();
    this.connected(on);
  }

  put(job) {
    this.all.set(job.id, job);
    this.changed();
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  /** Call `listener(job)` whenever this job changes, until `signal` is aborted. */
  watch(id, listener, signal) {
    const stop = new AbortController();
    signal.addEventListener("abort", () => stop.abort(), { signal: stop.signal });
    this.addEventListener("change", () => {
      const job = this.all.get(id);
      if (!job) return;
      listener(job);
      if (ENDED.includes(job.state)) stop.abort(); // a stream of one job ends here
    }, { signal: stop.signal });
    if (this.shared) {
      listen(`/api/events?job=${encodeURIComponent(id)}`, this.handlers(), this.connected, stop.signal);
    } else this.changed();
  }
}

/** Show the list of jobs in an element and keep it up to date. */
export function showQueue(root, jobs) {
  const summary = element("summary", {}, "Jobs");
  const list = element("ul", {});
  const box = element("details", { className: "queue" }, summary, list);
  root.replaceChildren(box);
  const rows = new Map();
  const refresh = () => {
    const all = [...jobs.all.values()].reverse();
    const running = all.find(({ state }) => state === "running");
    const waiting = all.filter(({ state }) => state === "waiting").length;
    const parts = [running && stateOf(running), waiting && `${waiting} waiting`].filter(Boolean);
    summary.textContent = parts.length ? `Jobs: ${parts.join(", ")}` : `Jobs: ${all.length || "none"}`;
    box.hidden = !all.length;
    for (const id of rows.keys()) {
      if (!jobs.all.has(id)) {
        rows.get(id).remove();
        rows.delete(id);
      }
    }
    all.forEach((job, k) => {
      if (!rows.has(job.id)) rows.set(job.id, element("li", {}));
      const row = rows.get(job.id);
      fill(row, job);
      if (list.children[k] !== row) list.insertBefore(row, list.children[k] ?? null);
    });
  };
  jobs.addEventListener("change", refresh);
  document.addEventListener("click", (event) => {
    if (!box.contains(event.target) || event.target.closest("a")) box.open = false;
  });
  addEventListener("hashchange", () => {
    box.open = false;
  });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    box.open = false;
    summary.focus();
  });
  refresh();
}

/** Bring a row of the list up to date; its link and its button stay, so that they keep the focus. */
function fill(row, job) {
  if (!row.childElementCount) {
    const link = element("a", { href: `#/jobs/${encodeURIComponent(job.id)}`, className: "path" }, job.name);
    const stop = button("Cancel", () => cancel(job.id).catch(() => {}));
    stop.setAttribute("aria-label", `Cancel ${job.name}`);
    row.append(link, element("span", { className: "soft" }), stop);
  }
  const [, text, stop] = row.children;
  const time = ENDED.includes(job.state) && job.seconds ? duration(job.seconds) : "";
  text.textContent = [stateOf(job), time].filter(Boolean).join(", ");
  stop.hidden = ENDED.includes(job.state);
}
