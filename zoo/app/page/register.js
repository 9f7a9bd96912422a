// The page on which two images are chosen, looked at, planned and registered.

import { element } from "regzoo/elements";
import { supported } from "regzoo/viewer";
import { ROLES, addressOf, requestOf } from "./draft.js";
import { dropped } from "./files.js";
import { link, openPreview } from "./preview.js";
import { PlanPanel } from "./plan.js";
import { request } from "./server.js";
import { Slot } from "./slot.js";
import { choiceField, failure } from "./widgets.js";

const HELP = {
  fixed: "It stays as it is. The results are on its grid.",
  moving: "It is deformed to match the fixed image.",
};
const FORMATS = "NIfTI, MetaImage (.mha), NRRD, and DICOM as a folder or a zip file.";

/** Show the page in an element until `signal` is aborted. */
export async function showRegister(root, context, { params, signal }) {
  document.title = "Register two images \u2013 regzoo";
  const wanted = requestOf(params);
  const scenes = {};
  const slots = {};
  let linked = null;

  const plan = new PlanPanel(context, wanted, () => remember(), signal);
  const remember = () => {
    history.replaceState(null, "", addressOf(wanted));
    context.addressChanged();
  };
  const set = (role, input) => {
    if (input) wanted[role] = input.id;
    else delete wanted[role];
    if (role === "moving" || role === "fixed") {
      if ([slots.fixed, slots.moving].some((slot) => slot?.input?.image?.volumes > 1)) wanted.volume ??= 0;
      else delete wanted.volume;
      look(role, input);
    }
    remember();
    plan.update(Object.fromEntries(Object.entries(slots).map(([name, slot]) => [name, slot.input])));
  };

  /** Show the slices of an input, and link their cursors once there are two. */
  const look = async (role, input) => {
    scenes[role]?.stop.abort();
    delete scenes[role];
    note.hidden = true;
    const place = slots[role].preview;
    place.replaceChildren();
    if (!input?.image) return;
    if (!supported()) {
      place.append(element("p", { className: "caption" }, "The slices need a browser with WebGL 2. The registration works without."));
      return;
    }
    const shown = { stop: new AbortController() };
    scenes[role] = shown;
    signal.addEventListener("abort", () => shown.stop.abort(), { signal: shown.stop.signal });
    try {
      const address = `/api/inputs/${encodeURIComponent(input.id)}/preview`;
      const encoded = await request(address, { signal: shown.stop.signal });
      shown.scene = await openPreview(place, encoded, await context.niivue(), shown.stop.signal);
      if (scenes.fixed?.scene && scenes.moving?.scene && scenes[role] === shown) {
        const agree = link(scenes.fixed.scene, scenes.moving.scene, () => linked.checked);
        note.hidden = false;
        note.lastChild.textContent = agree
          ? "Link the cursors: both are at the same place in RAS+ mm."
          : "Link the cursors. The headers place the images apart, so the middles of the bodies are taken for the same place.";
      }
    } catch (error) {
      if (error.name !== "AbortError") place.replaceChildren(failure(error.message));
    }
  };

  for (const [role, title] of Object.entries(ROLES)) {
    const image = role in HELP;
    const spare = (uploads) => {
      const other = role === "fixed" ? slots.moving : slots.fixed;
      if (uploads.length === 1 && image && !other.input) other.take(Promise.resolve(uploads));
      else context.say(`Only the first of ${uploads.length + 1} images was taken.`);
    };
    slots[role] = new Slot({ title, help: HELP[role], image, context, spare, signal,
      changed: (input) => set(role, input) });
  }
  linked = element("input", { type: "checkbox", checked: true });
  const note = element("label", { className: "check linked", hidden: true }, linked, element("span", {}));

  const extras = Object.keys(ROLES).filter((role) => !(role in HELP));
  const space = choiceField(
    "Coordinates of the landmarks, if their file does not state them",
    [["", "RAS, mm"], ...context.app.choices.points_spaces.filter((name) => name !== "ras").map((name) => [name, name === "lps" ? "LPS, mm" : "voxel index"])],
    wanted.points_space ?? "",
    (value) => {
      if (value) wanted.points_space = value;
      else delete wanted.points_space;
      remember();
      plan.update();
    },
  );
  const more = element(
    "details",
    { open: extras.some((role) => role in wanted) },
    element("summary", {}, "Labels, masks and landmarks (optional)"),
    element("p", { className: "caption" }, "Labels and landmarks measure the result. Masks limit what is compared. Landmarks are a table (.csv) or a file of 3D Slicer."),
    element("div", { className: "extras" }, ...extras.map((role) => slots[role].root)),
    space,
  );
  root.replaceChildren(
    element("h1", { tabIndex: -1 }, "Register two images"),
    element("p", { className: "soft" }, FORMATS),
    element("div", { className: "pair" }, slots.fixed.root, slots.moving.root),
    note,
    more,
    plan.root,
  );
  // A file that misses its place must not replace the page in the browser.
  document.addEventListener("dragover", (event) => event.preventDefault(), { signal });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    (slots.fixed.input ? slots.moving : slots.fixed).take(dropped(event.dataTransfer));
  }, { signal });
  for (const role of Object.keys(ROLES)) {
    if (wanted[role]) slots[role].takeId(wanted[role]);
  }
  if (context.app.data) offerPairs(root, slots, wanted, signal);
}

/** Offer the pairs that the data folder lists, above the places for the images. */
async function offerPairs(root, slots, wanted, signal) {
  let pairs;
  try {
    ({ pairs } = await request("/api/data/pairs", { signal }));
  } catch (error) {
    if (error.name !== "AbortError") root.querySelector(".pair").before(failure(error.message));
    return;
  }
  if (!pairs.length) return;
  const options = [["", "Choose a pair"], ...pairs.map(({ name }, k) => [k, name])];
  const list = choiceField("Try a pair of the data folder", options, "", (k) => {
    if (k === "") return;
    if (pairs[k].points_space && pairs[k].points_space !== "ras") wanted.points_space = pairs[k].points_space;
    else delete wanted.points_space;
    for (const role of Object.keys(ROLES)) {
      if (pairs[k][role]) slots[role].takePath(pairs[k][role]);
      else slots[role].clear();
    }
  });
  root.querySelector(".pair").before(list);
}
