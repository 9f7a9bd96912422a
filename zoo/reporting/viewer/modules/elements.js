// Elements of the controls. Texts are set as text, so that no name of a file becomes HTML.

/** Return an element with properties and children, which are elements or texts. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("aria-")) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

let groups = 0;

/** Return a group of radio buttons; `choices` maps values to texts. */
export function choice(legend, choices, value, changed) {
  const name = `viewer-choice-${(groups += 1)}`;
  const buttons = Object.entries(choices).map(([key, text]) => {
    const input = element("input", { type: "radio", name, value: key, checked: key === value });
    input.addEventListener("change", () => changed(key));
    return element("label", {}, input, element("span", {}, text));
  });
  return element("fieldset", { className: "choice" }, element("legend", {}, legend), ...buttons);
}

/** Return a check box with its text. */
export function checkbox(text, checked, changed) {
  const input = element("input", { type: "checkbox", checked });
  input.addEventListener("change", () => changed(input.checked));
  return element("label", { className: "check" }, input, text);
}

/** Return a slider with its text and the value that `shown` makes of its position. */
export function slider(text, { min, max, step, value }, shown, changed) {
  const input = element("input", { type: "range", min, max, step });
  input.value = value;
  const output = element("output", {}, shown(Number(value)));
  input.addEventListener("input", () => {
    output.textContent = shown(Number(input.value));
    changed(Number(input.value));
  });
  const label = element("label", { className: "slider" }, element("span", {}, text), input, output);
  const set = (position) => {
    input.value = position;
    output.textContent = shown(Number(input.value));
  };
  return { label, input, set };
}

/** Return a list to choose from; `options` are pairs of value and text. */
export function list(text, options, changed) {
  const items = options.map(([value, name]) => element("option", { value }, name));
  const select = element("select", {}, ...items);
  select.addEventListener("change", () => changed(select.value));
  return element("label", { className: "list" }, element("span", {}, text), select);
}
