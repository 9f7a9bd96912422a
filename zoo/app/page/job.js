// The page of one job: its progress and, once it is done, its result.

import { element } from "regzoo/elements";
import { addressOf } from "./draft.js";
import { ENDED, cancel, stateOf } from "./jobs.js";
import { showResult } from "./result.js";
import { request } from "./server.js";
import { button, duration, failure } from "./widgets.js";

const ANNOUNCED = 25; // percent between two announcements of the progress

/** Show the job in an element until `signal` is aborted. */
export async function showJob(root, context, { name: id, signal }) {
  const address = `/api/jobs/${encodeURIComponent(id)}`;
  const job = await request(address, { signal });
  document.title = `${job.name} \u2013 regzoo`;
  const heading = element("h1", { tabIndex: -1, className: "path" }, job.name);
  const status = element("div", { className: "status" });
  const body = element("div", {});
  const again = element("p", { className: "ways" }, element("a", { href: addressOf(job.request) }, "Change the images or the plan, and register again"));
  root.replaceChildren(heading, status, body, again);

  const progress = progressPart(context, id, status, signal);
  const show = async (now) => {
    root.dataset.state = now.state;
    if (!ENDED.includes(now.state)) return progress.show(now);
    status.replaceChildren();
    if (now.state === "failed") body.replaceChildren(failure(now.error ?? "The job failed."));
    if (now.state === "cancelled") {
      body.replaceChildren(element("p", { className: "warnings", role: "status" }, "The job was cancelled. It left no files."));
    }
    if (now.state === "done") await finished(now);
  };
  const finished = async (now) => {
    try {
      const result = await request(`${address}/result`, { signal });
      await showResult(body, context, result, `${address}/viewer`, signal);
      context.say(`The registration is done. Its quality is ${now.quality}.`);
    } catch (error) {
      if (error.name !== "AbortError") body.replaceChildren(failure(error.message));
    }
  };
  if (ENDED.includes(job.state)) await show(job);
  else {
    await show(job);
    context.jobs.watch(id, show, signal);
  }
}

/** Return the bar, the stage and the button of a job that is not done; parts stay as it goes on. */
function progressPart(context, id, status, signal) {
  const bar = element("progress", { max: 100, "aria-label": "Progress of the registration" });
  const text = element("span", {});
  const stop = button("Cancel", async () => {
    stop.disabled = true;
    try {
      await cancel(id);
    } catch (error) {
      problem.replaceChildren(failure(error.message));
      stop.disabled = false;
    }
  });
  const problem = element("div", {});
  let announced = "";
  let latest = null;
  let since = 0; // when `latest` arrived, milliseconds
  const write = () => {
    const passed = (performance.now() - since) / 1000;
    const time = latest.state === "running" ? duration(Math.floor(latest.seconds + passed)) : "";
    text.textContent = [stateOf(latest), latest.stage, time].filter(Boolean).join(" \u00b7 ");
  };
  const clock = setInterval(() => latest && write(), 1000);
  signal.addEventListener("abort", () => clearInterval(clock));
  const show = (job) => {
    latest = job;
    since = performance.now();
    if (!bar.isConnected) status.replaceChildren(element("div", { className: "bar" }, bar, stop), element("p", {}, text), problem);
    if (job.percent === null) bar.removeAttribute("value");
    else bar.value = job.percent;
    write();
    const news = `${job.state} ${job.ahead} ${Math.floor((job.percent ?? 0) / ANNOUNCED)}`;
    if (news !== announced) context.say(stateOf(job));
    announced = news;
  };
  return { show };
}
