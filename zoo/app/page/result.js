// A result: the verdict first, then the figures, the viewer, the downloads and the recipe.

import { element } from "regzoo/elements";
import { open, supported } from "regzoo/viewer";
import { size } from "./files.js";
import { request } from "./server.js";
import { QUALITIES, choiceField, failure, recipe, table } from "./widgets.js";

const LONG = 12; // rows of a table that is shown at once
const VERDICTS = {
  ok: "No sign of a failed registration was measured.",
  check: "Look at the images before you use the result.",
  failed: "The result is probably wrong.",
};

/** Show a result in an element; `document` is the address of the viewer's document. */
export async function showResult(root, context, result, document, signal) {
  const viewer = element("div", { className: "viewer", id: "viewer" }, "The images are being loaded.");
  const parts = [verdict(result), tiles(result.tiles), viewer, ...figures(result.tables), downloads(result)];
  if (result.command) {
    parts.push(element("section", {}, element("h2", {}, "The same without the browser"), recipe(result, context.say)));
  }
  parts.push(...provenance(result));
  root.replaceChildren(...parts);
  await look(viewer, context, result, document, signal);
}

function verdict({ quality, warnings }) {
  const sentences = warnings.length ? warnings : [VERDICTS[quality]];
  const head = element("p", {}, element("b", {}, `Quality: ${QUALITIES[quality] ?? quality}`));
  const rest = sentences.map((text) => element("p", {}, text));
  const className = quality === "ok" ? "verdict" : `warnings ${quality}`;
  const made = element("div", { className, role: "status" }, head, ...rest);
  made.dataset.quality = quality;
  return made;
}

function tiles(values) {
  const one = ({ value, title }) =>
    element("div", { className: "tile" }, element("b", {}, value), element("span", {}, title));
  return element("div", { className: "tiles" }, ...values.map(one));
}

/** Open the viewer, or show the picture of the report where that is not possible. */
async function look(root, context, result, address, signal) {
  const instead = (reason) => {
    root.replaceChildren(element("p", { className: "caption" }, reason));
    if (result.picture) root.append(element("img", { src: result.picture, alt: "Slices of the images before and after the registration", className: "picture" }));
    root.dataset.state = "picture";
  };
  if (!result.viewer) return instead("This result has no images for the viewer.");
  if (!supported()) return instead("The viewer needs a browser with WebGL 2. This picture shows the same images.");
  try {
    const encoded = await request(address, { signal });
    const niivue = await context.niivue();
    if (signal.aborted) return;
    const viewer = await open(root, encoded, niivue);
    signal.addEventListener("abort", () => viewer.close());
    root.dataset.state = "open";
  } catch (error) {
    if (error.name !== "AbortError") instead(error.message);
  }
}

function downloads({ files, transforms }) {
  const link = ({ name, title, bytes, url }) =>
    element("li", {}, element("a", { href: url, download: name }, title || name),
      element("span", { className: "soft" }, [name, bytes && size(bytes)].filter(Boolean).join(", ")));
  const section = element("section", {}, element("h2", {}, "Downloads"),
    element("ul", { className: "files" }, ...files.map(link)));
  if (transforms.length) {
    const go = element("a", { className: "button", download: "", href: transforms[0].url }, "Download the transform");
    const options = transforms.map(({ name, title }) => [name, title]);
    const list = choiceField("Format of the transform", options, transforms[0].name, (name) => {
      go.href = transforms.find((one) => one.name === name).url;
    });
    section.append(element("div", { className: "bar" }, list, go));
  }
  return section;
}

/** Return the tables of figures; a long one is shown on demand. */
function figures(tables) {
  return tables.map((one) =>
    one.rows.length <= LONG
      ? table(one)
      : element("details", {}, element("summary", {}, `${one.heading} (${one.rows.length})`), table({ ...one, heading: "" })));
}

function provenance({ affine, provenance, citation }) {
  const parts = [element("h2", {}, "How the transform was made"), element("p", {}, affine),
    element("details", {}, element("summary", {}, "Model, plan, settings, time and versions"),
      element("div", { className: "columns" }, ...provenance.map(table)))];
  if (citation?.length) {
    parts.push(element("details", {}, element("summary", {}, "What to cite"),
      element("ul", {}, ...citation.map((text) => element("li", {}, text)))));
  }
  return parts;
}
