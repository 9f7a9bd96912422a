// The page of `regzoo app`: its address chooses what is shown, and the server holds the state.

import { element } from "regzoo/elements";
import { showJob } from "./job.js";
import { Jobs, showQueue } from "./jobs.js";
import { showRegister } from "./register.js";
import { showRun } from "./run.js";
import { request } from "./server.js";
import { failure } from "./widgets.js";

const SPACES = "https://huggingface.co";
const PAGES = { new: showRegister, jobs: showJob, run: showRun };

/** Return the parts of an address such as `#/jobs/ID` or `#/new?fixed=ID`. */
function routeOf(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [page, ...name] = path.split("/");
  return { page, name: decodeURIComponent(name.join("/")), params: new URLSearchParams(query) };
}

async function start() {
  const main = document.getElementById("main");
  const live = document.getElementById("live");
  const lost = document.getElementById("connection");
  const say = (text) => {
    live.textContent = text;
  };
  const connected = (on) => {
    lost.hidden = on;
    lost.textContent = on ? "" : "The connection to the server is lost. The page tries again by itself. If the server was stopped, start regzoo app again and open the address that it prints.";
  };
  let app;
  try {
    app = await request("/api/app");
  } catch (error) {
    main.replaceChildren(failure(error.message));
    return;
  }
  const jobs = new Jobs(app, connected);
  // A Space is shown in a frame, and its page keeps the address that it is told.
  const addressChanged = () => {
    if (app.public && parent !== window) parent.postMessage({ hash: location.hash }, SPACES);
  };
  const context = { app, jobs, say, addressChanged, niivue: () => import("/vendor/niivue.js") };
  showQueue(document.getElementById("queue"), jobs);
  const nav = document.getElementById("nav");
  nav.append(element("a", { href: "#/new" }, "New registration"));
  if (app.run) nav.append(element("a", { href: "#/run" }, "Run"));

  let leave = null;
  const show = async () => {
    leave?.abort();
    const stop = new AbortController();
    const first = leave === null;
    leave = stop;
    addressChanged();
    const { page, name, params } = routeOf(location.hash);
    const known = page in PAGES ? page : app.run ? "run" : "new";
    for (const link of nav.querySelectorAll("a:not(.brand)")) {
      if (link.hash === `#/${known}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    delete main.dataset.state;
    const root = element("div", { className: "page" });
    main.replaceChildren(root);
    try {
      await PAGES[known](root, context, { name, params, signal: stop.signal });
    } catch (error) {
      if (stop.signal.aborted) return;
      root.replaceChildren(failure(error.message), element("p", {}, element("a", { href: "#/new" }, "Begin a new registration")));
    }
    if (!first && leave === stop) root.querySelector("h1")?.focus({ preventScroll: true });
  };
  addEventListener("hashchange", () => {
    scrollTo(0, 0);
    show();
  });
  await show();
}

await start();
