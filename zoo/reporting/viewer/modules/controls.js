// The controls of the viewer. They change a state; `viewer.js` brings the state to the scene.

import { toWorld } from "regzoo/data";
import { checkbox, choice, element, list, slider } from "regzoo/elements";
import { PLANES, normalAxis } from "regzoo/scene";

const VIEWS = {
  fixed: "Fixed",
  moving: "Moving",
  blink: "Blink",
  fade: "Fade",
  swipe: "Swipe",
  checkerboard: "Checkerboard",
  overlay: "Overlay",
  difference: "Difference",
};
const CAPTIONS = {
  fixed: "",
  moving: "",
  blink: "The fixed and the moving image alternate.",
  fade: "The slider mixes the fixed and the moving image.",
  swipe: "The fixed image is on the left of the line, the moving image on the right.",
  checkerboard: "Squares of the fixed and the moving image alternate.",
  overlay: "The fixed image is orange and the moving image is blue. Grey means equally bright.",
  difference: "Absolute difference of the images in their windows. Black means equal.",
};
const percent = (value) => `${Math.round(value)} %`;

/** Return the choice of the view, with its sliders; `refresh` shows a state that was changed. */
export function viewControls(document, state, changed) {
  const longest = Math.max(...document.shape.map((n, k) => n * document.spacing[k]));
  const view = choice("View", VIEWS, state.view, (value) => changed({ view: value }));
  const side = choice(
    "Moving image",
    { moving: "before", warped: "after" },
    state.side,
    (value) => changed({ side: value }),
  );
  const share = slider("Position", { min: 0, max: 100, step: 1, value: 50 }, percent, (value) =>
    changed({ share: value / 100 }),
  );
  const square = slider(
    "Squares",
    { min: longest / 40, max: longest / 3, step: longest / 200, value: state.square },
    (mm) => `${mm.toFixed(0)} mm`,
    (value) => changed({ square: value }),
  );
  const caption = element("p", { className: "caption" });
  const refresh = () => {
    for (const input of view.querySelectorAll("input")) input.checked = input.value === state.view;
    share.label.hidden = !["fade", "swipe"].includes(state.view);
    square.label.hidden = state.view !== "checkerboard";
    caption.textContent = CAPTIONS[state.view];
    caption.hidden = !caption.textContent;
  };
  const row = element("div", { className: "row" }, view, side);
  return { parts: [row, share.label, square.label, caption], refresh };
}

/** Return a slider per plane, the choice of the planes and the zoom. */
export function sliceControls(scene, state) {
  const { document } = scene;
  const sliders = PLANES.map((plane) => {
    const axis = normalAxis(plane);
    const shown = (slice) => {
      const index = scene.index.map((value, k) => (k === axis ? slice : value));
      return `${toWorld(document, index)[axis].toFixed(1)} mm`;
    };
    const size = { min: 0, max: document.shape[axis] - 1, step: 1, value: document.centre[axis] };
    const name = plane[0].toUpperCase() + plane.slice(1);
    return slider(name, size, shown, (slice) => {
      state.plane = plane;
      scene.goTo(scene.index.map((value, k) => (k === axis ? slice : value)));
    });
  });
  const planes = choice(
    "Planes",
    { all: "All", axial: "Axial", coronal: "Coronal", sagittal: "Sagittal" },
    "all",
    (value) => {
      if (value !== "all") state.plane = value;
      scene.show(value === "all" ? PLANES : [value]);
    },
  );
  const zoom = slider("Zoom", { min: 1, max: 6, step: 0.1, value: 1 }, (z) => `${z.toFixed(1)} x`,
    (value) => scene.setZoom(value));
  const refresh = () => {
    sliders.forEach((one, k) => one.set(scene.index[normalAxis(PLANES[k])]));
  };
  const block = element("div", { className: "sliders" }, ...sliders.map((one) => one.label), zoom.label);
  return { parts: [planes, block], refresh };
}

/** Return the choice of what is drawn on the images. */
export function overlayControls(document, state, changed) {
  const boxes = [];
  if (document.labels) {
    const number = (value) => (value === null || value === undefined ? "\u2013" : value.toFixed(3));
    const options = document.labels.items.map(({ code, name, dice }) => {
      const known = dice[1] !== null && dice[1] !== undefined;
      return [code, known ? `${name}, Dice ${number(dice[0])} \u2192 ${number(dice[1])}` : name];
    });
    boxes.push(
      checkbox("Label outlines", state.outlines, (value) => changed({ outlines: value })),
      list("Label", [[0, "all labels"], ...options], (value) => changed({ label: Number(value) })),
    );
  }
  boxes.push(
    checkbox(`Deformation grid, ${document.shift.line_mm} mm`, false, (value) =>
      changed({ lines: value }),
    ),
    checkbox("Volume change (Jacobian)", false, (value) => changed({ change: value })),
  );
  if (document.landmarks.length) {
    boxes.push(
      checkbox("Landmarks", state.landmarks, (value) => changed({ landmarks: value })),
      list(
        "Go to landmark",
        [["", "choose"], ...document.landmarks.map(({ name, error_mm }, k) =>
          [k, `${name}: ${error_mm[1].toFixed(1)} mm (before: ${error_mm[0].toFixed(1)} mm)`])],
        (value) => value !== "" && changed({ goTo: document.landmarks[value].fixed }),
      ),
    );
  }
  const legend = element("legend", {}, "Draw on the images");
  return element("fieldset", { className: "overlays" }, legend, ...boxes);
}

/** Return sliders of window and level per image, in the unit of its intensities. */
export function windowControls(document, state, changed) {
  const rows = ["fixed", "moving"].map((name) => {
    const { levels, window } = document[name];
    const range = levels[255] - levels[0];
    const shown = (value) => String(Number(value.toPrecision(3)));
    let [level, width] = middleAndWidth(window);
    const update = () => changed({ windows: { ...state.windows, [name]: [level - width / 2, level + width / 2] } });
    const step = range / 500;
    const levelSlider = slider("level", { min: levels[0], max: levels[255], step, value: level }, shown,
      (value) => { level = value; update(); });
    const widthSlider = slider("window", { min: step, max: range * 1.2, step, value: width }, shown,
      (value) => { width = value; update(); });
    const reset = element("button", { type: "button" }, "Reset");
    reset.addEventListener("click", () => {
      [level, width] = middleAndWidth(window);
      levelSlider.set(level);
      widthSlider.set(width);
      update();
    });
    const legend = element("legend", {}, `${name === "fixed" ? "Fixed" : "Moving"}: ${document[name].name}`);
    return element("fieldset", { className: "window" }, legend, levelSlider.label, widthSlider.label, reset);
  });
  return element("details", {}, element("summary", {}, "Window and level"), ...rows);
}

const middleAndWidth = ([low, high]) => [(low + high) / 2, high - low];
