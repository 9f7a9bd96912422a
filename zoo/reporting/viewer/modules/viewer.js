// The interactive viewer: the slices of a registration with their controls.

import { decoded, offset, toWorld, volumeChange, windowUniform } from "regzoo/data";
import { overlayControls, sliceControls, viewControls, windowControls } from "regzoo/controls";
import { element } from "regzoo/elements";
import { histogram } from "regzoo/histogram";
import { drawLandmarks } from "regzoo/landmarks";
import { navigate } from "regzoo/navigation";
import { Scene } from "regzoo/scene";

const BLINK = 600; // milliseconds between two images
const FEW = 40; // landmarks that are drawn at first
const KEYS = "Arrow keys: next and previous slice of the plane used last. B: blink. Click into a plane to move the cursor, then turn the wheel for slices.";

/** Return whether this browser can show the viewer. */
export function supported() {
  const gl = document.createElement("canvas").getContext("webgl2");
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return gl !== null && typeof DecompressionStream === "function";
}

/**
 * Show a document of `viewer_document` in an element; `niivue` is the module of NiiVue.
 *
 * The value has a function `close` for a page that removes the viewer again.
 */
export async function open(root, encoded, niivue) {
  const data = await decoded(encoded);
  const state = {
    view: "fixed",
    side: "warped",
    share: 0.5,
    square: Math.max(...data.shape.map((n, k) => n * data.spacing[k])) / 8,
    windows: { fixed: data.fixed.window, moving: data.moving.window },
    outlines: false,
    label: 0,
    lines: false,
    change: false,
    landmarks: data.landmarks.length > 0 && data.landmarks.length <= FEW,
    plane: "axial",
    blinked: false,
  };
  const canvas = element("canvas", { tabIndex: 0 });
  canvas.setAttribute("aria-label", "Axial, coronal and sagittal slices of the images");
  const marks = element("canvas", { className: "marks" });
  const stage = element("div", { className: "stage" }, canvas, marks);
  const readout = element("p", { className: "readout" });
  root.replaceChildren(stage, readout);
  const scene = await Scene.create(canvas, data, niivue);

  let timer = null;
  const apply = () => {
    const shown = state.view === "blink" ? (state.blinked ? "moving" : "fixed") : state.view;
    scene.set({
      view: shown,
      side: state.side === "moving" ? 1 : 2,
      label: state.label,
      share: state.share,
      square: state.square,
      windows: [...windowUniform(state.windows.fixed), ...windowUniform(state.windows.moving)],
      outlines: state.outlines ? 1 : 0,
      lines: state.lines ? 0.75 : 0,
      change: state.change ? 0.75 : 0,
      pixel: scene.nv.uiData.dpr ?? 1,
    });
    root.dataset.shown = shown;
    scale.hidden = !state.change;
  };
  const change = ({ goTo, ...values }) => {
    Object.assign(state, values);
    if (goTo) scene.goTo(goTo);
    if ((state.view === "blink") !== (timer !== null)) {
      clearInterval(timer);
      timer = state.view === "blink" ? setInterval(swap, BLINK) : null;
      state.blinked = false;
    }
    view.refresh();
    apply();
  };
  const swap = () => {
    state.blinked = !state.blinked;
    apply();
  };

  const view = viewControls(data, state, change);
  const slices = sliceControls(scene, state);
  const scale = histogram(data);
  root.prepend(...view.parts);
  root.append(
    ...slices.parts,
    overlayControls(data, state, change),
    scale,
    windowControls(data, state, change),
    element("p", { className: "caption" }, KEYS),
  );

  scene.onDraw(() => {
    slices.refresh();
    readout.textContent = described(data, scene.index, state.side);
    const drawn = drawLandmarks(marks, scene, state.side === "moving" ? "before" : "after", state.landmarks);
    root.dataset.landmarks = drawn;
  });
  const listening = new AbortController();
  const blink = () => change({ view: state.view === "blink" ? "fixed" : "blink" });
  navigate(root, scene, state, { keys: { b: blink }, signal: listening.signal });
  const resized = new ResizeObserver(() => scene.layOut());
  resized.observe(stage);
  view.refresh();
  apply();
  const close = () => {
    listening.abort();
    resized.disconnect();
    clearInterval(timer);
    scene.close();
  };
  return { scene, state, change, close };
}

/** Return in words what is at a voxel index. */
export function described(data, index, side) {
  const at = offset(data, index);
  const { volumes } = data;
  const value = (code, levels) => String(Number(levels[code].toPrecision(3)));
  const name = (volume) => {
    const code = volume[at];
    return code === 0 ? "none" : data.labels.items[code - 1].name;
  };
  const folded = volumes.jacobian[at] === 0;
  const parts = [
    `${toWorld(data, index).map((mm) => mm.toFixed(1)).join(", ")} mm (RAS)`,
    `fixed ${value(volumes.fixed[at], data.fixed.levels)}`,
    `moving before ${value(volumes.moving[at], data.moving.levels)}`,
    `after ${value(volumes.warped[at], data.moving.levels)}`,
    `volume change ${folded ? "folded" : volumeChange(data, volumes.jacobian[at]).toFixed(2)}`,
  ];
  if (data.labels) {
    const moving = side === "moving" ? volumes.moving_labels : volumes.warped_labels;
    parts.push(`label: fixed ${name(volumes.fixed_labels)}, moving ${name(moving)}`);
  }
  return parts.join(" \u00b7 ");
}
