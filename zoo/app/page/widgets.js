// Elements that several pages share.

import { element } from "regzoo/elements";

/** Names of the verdicts, each with a sign, so that no colour is needed to tell them apart. */
export const QUALITIES = { ok: "\u2713 ok", check: "? check", failed: "\u2715 failed" };

/** Return a button that calls `pressed`. */
export function button(text, pressed, className = "") {
  const made = element("button", { type: "button", className }, text);
  made.addEventListener("click", pressed);
  return made;
}

/** Return a list with its label above it; `options` are [value, text] or [value, text, disabled]. */
export function choiceField(label, options, value, changed) {
  const items = options.map(([key, text, disabled = false]) =>
    element("option", { value: key, disabled, selected: key === value }, text));
  const select = element("select", {}, ...items);
  select.addEventListener("change", () => changed(select.value));
  return element("label", { className: "field" }, element("span", {}, label), select);
}

/** Return an error in words, which is announced. */
export function failure(text) {
  return element("p", { className: "warnings failed", role: "alert" }, text);
}

/** Return sentences in a box whose colour follows a verdict. */
export function warningBox(quality, sentences) {
  const rows = sentences.map((text) => element("p", {}, text));
  return element("div", { className: `warnings ${quality}`, role: "note" }, ...rows);
}

/** Return a table of texts, whose first column is a key, with its heading and caption. */
export function table({ heading, caption, columns, rows }) {
  const cell = (tag, text, k) =>
    element(tag, { className: k === 0 ? "key" : columns.length ? "number" : "" }, text);
  const head = element("tr", {}, ...columns.map((text, k) => {
    const made = cell(text ? "th" : "td", text, k);
    if (text) made.scope = "col";
    return made;
  }));
  const body = rows.map((row) => element("tr", {}, ...row.map((text, k) => cell("td", text, k))));
  const made = element("table", {}, ...(columns.length ? [head] : []), ...body);
  return element(
    "section",
    {},
    ...(heading ? [element("h2", {}, heading)] : []),
    ...(caption ? [element("p", { className: "caption" }, caption)] : []),
    scrolling(made, heading || caption || "Table"),
  );
}

/** Return an element that scrolls sideways on a narrow screen, also with the keyboard. */
export function scrolling(content, label) {
  return element("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": label }, content);
}

/** Return the command line and the Python lines of a registration, each with a button to copy it. */
export function recipe({ command, note }, say) {
  const block = (title, text) => {
    const code = element("pre", { tabIndex: 0, "aria-label": title }, text);
    const copy = button("Copy", async () => {
      try {
        await navigator.clipboard.writeText(text);
        copy.textContent = "Copied";
        say(`Copied: ${title}`);
      } catch {
        getSelection().selectAllChildren(code);
        copy.textContent = "Selected: press Ctrl+C";
        say("The browser does not let the page copy. The text is selected; press Ctrl and C.");
      }
    });
    copy.setAttribute("aria-label", `Copy: ${title}`);
    return element("div", { className: "recipe" }, element("div", { className: "bar" }, element("h3", {}, title), copy), code);
  };
  const parts = [block("As a command", command.shell), block("In Python", command.python)];
  if (note) parts.unshift(element("p", { className: "caption" }, note));
  return element("div", { className: "recipes" }, ...parts);
}

/** Return a number of seconds in words. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 60) return `${seconds < 10 ? Number(seconds.toFixed(1)) : Math.round(seconds)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}
