// The pairs of a run, the worst first, and the page of one pair. A run in progress fills the table.

import { element } from "regzoo/elements";
import { showResult } from "./result.js";
import { request } from "./server.js";
import { QUALITIES, choiceField, failure, table } from "./widgets.js";

const ALL = "";
const FOLDS = "of the voxels fold"; // the title of a tile, which follows its value
const ERROR = "error";

/** Show the table, or the pair whose name is in the address, until `signal` is aborted. */
export async function showRun(root, context, { name, signal }) {
  if (name) return showPair(root, context, name, signal);
  document.title = "Run \u2013 regzoo";
  const chosen = { quality: ALL, text: "" };
  const head = element("div", {});
  const body = element("tbody", { role: "rowgroup" });
  const headings = element("tr", { role: "row" });
  const count = element("p", { className: "caption", role: "status" });
  const rows = new Map();
  let run = null;

  const filter = () => {
    let shown = 0;
    for (const row of body.children) {
      const fits = (!chosen.quality || row.dataset.quality === chosen.quality)
        && row.dataset.name.includes(chosen.text.toLowerCase());
      row.hidden = !fits;
      shown += fits;
    }
    count.textContent = `${shown} of ${body.childElementCount} pairs are shown.`;
  };
  const load = async () => {
    run = await request("/api/run", { signal });
    head.replaceChildren(...heading(run));
    const titles = [...new Set(run.cases.flatMap((one) => one.tiles.map(({ title }) => title)))];
    headings.replaceChildren(...["Pair", "Quality", ...titles].map((text) =>
      element("th", { scope: "col", role: "columnheader", className: titles.includes(text) ? "number" : "" }, shortTitle(text))));
    const wanted = [
      ...run.errors.map((one) => errorRow(one, titles.length)),
      ...run.cases.map((one) => caseRow(one, titles)),
    ];
    const focused = body.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    body.replaceChildren(...wanted.map((row) => {
      // A row that has not changed stays, with its picture.
      const old = rows.get(row.dataset.key);
      const kept = old?.textContent === row.textContent ? old : row;
      rows.set(row.dataset.key, kept);
      return kept;
    }));
    if (focused) body.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
    filter();
  };

  const quality = choiceField("Quality", [[ALL, "all"], ...Object.entries(QUALITIES), [ERROR, "not registered"]], ALL, (value) => {
    chosen.quality = value;
    filter();
  });
  const search = element("input", { type: "search" });
  search.addEventListener("input", () => {
    chosen.text = search.value;
    filter();
  });
  await load();
  root.replaceChildren(
    head,
    element("div", { className: "bar filters" }, quality, element("label", { className: "field" }, element("span", {}, "Name contains"), search)),
    count,
    element("p", { className: "caption" }, "Pictures: the fixed image is orange and the moving image is blue; where both are equally bright, the overlay is grey. Before the registration above, after it below."),
    // The style of a narrow screen would take their roles from the parts of the table.
    element("table", { className: "run", role: "table" }, element("thead", { role: "rowgroup" }, headings), body),
  );
  let seen = JSON.stringify(context.jobs.run);
  context.jobs.addEventListener("change", () => {
    const now = JSON.stringify(context.jobs.run);
    if (now === seen) return;
    seen = now;
    load().catch((error) => error.name !== "AbortError" && head.append(failure(error.message)));
  }, { signal });
}

/** Return the heading of the run with its progress and its summary. */
function heading({ name, model, split, pairs, finished, quality, errors, missing, rows, columns }) {
  const counts = Object.entries(quality).map(([key, n]) => `${n} ${key}`).join(", ");
  const of = pairs === null ? `${finished} pairs are` : `${finished} of ${pairs} pairs are`;
  const failed = errors.length ? ` ${errors.length} could not be registered.` : "";
  const parts = [
    element("h1", { tabIndex: -1, className: "path" }, `Run ${name}`),
    element("p", { className: "soft" }, [`model ${model}`, split && `split ${split}`].filter(Boolean).join(", ")),
    element("p", {}, `${of} registered (${counts}).${failed}`),
  ];
  if (pairs !== null && missing?.length) {
    const done = finished + errors.length;
    parts.push(element("progress", { max: pairs, value: done, "aria-label": "Pairs of the run that are done" }));
  }
  if (rows.length) {
    parts.push(element("details", {}, element("summary", {}, "Summary of all pairs"),
      table({ heading: "", caption: "Before: the images as their headers place them.", columns, rows })));
  }
  return parts;
}

const shortTitle = (title) => (title === FOLDS ? "Folded voxels" : title);

function caseRow({ name, quality, warnings, tiles, thumbnail }, titles) {
  const link = element("a", { href: `#/run/${encodeURIComponent(name)}`, className: "path" }, name);
  const first = element("th", { scope: "row", role: "rowheader" }, link);
  if (thumbnail) first.prepend(element("img", { src: thumbnail, alt: "", loading: "lazy" }));
  const verdict = element("td", { role: "cell" }, element("b", { className: `badge ${quality}` }, QUALITIES[quality] ?? quality),
    ...warnings.map((text) => element("span", { className: "caption" }, text)));
  const values = titles.map((title) => {
    const value = tiles.find((tile) => tile.title === title)?.value ?? "\u2013";
    const cell = element("td", { className: "number", role: "cell" }, value);
    cell.dataset.title = shortTitle(title); // shown beside the value on a narrow screen
    return cell;
  });
  return keyed(element("tr", { role: "row" }, first, verdict, ...values), name, quality);
}

function errorRow({ name, reason }, width) {
  const verdict = element("td", { colSpan: 1 + width, role: "cell" }, element("b", { className: "badge failed" }, "\u2715 not registered"), element("span", { className: "caption" }, reason));
  const first = element("th", { scope: "row", role: "rowheader", className: "path" }, name);
  return keyed(element("tr", { role: "row" }, first, verdict), name, ERROR);
}

function keyed(row, name, quality) {
  Object.assign(row.dataset, { key: `${quality} ${name}`, name: name.toLowerCase(), quality });
  return row;
}

async function showPair(root, context, name, signal) {
  const address = `/api/run/pairs/${encodeURIComponent(name)}`;
  const result = await request(address, { signal });
  document.title = `${name} \u2013 regzoo`;
  const body = element("div", {});
  root.replaceChildren(
    element("p", {}, element("a", { href: "#/run" }, "\u2190 All pairs of the run")),
    element("h1", { tabIndex: -1, className: "path" }, name),
    element("p", { className: "soft path" }, `${result.moving} to ${result.fixed}`),
    body,
  );
  await showResult(body, context, result, `${address}/viewer`, signal);
}
