// Slices of one image before the registration, and two of them with linked cursors.

import { toWorld, unpacked, windowUniform } from "regzoo/data";
import { sliceControls } from "regzoo/controls";
import { element } from "regzoo/elements";
import { navigate } from "regzoo/navigation";
import { Scene } from "regzoo/scene";

const COMMON = 0.1; // share of the smaller field of view, above which the headers are believed

/** Show the preview of an input in an element; `signal` removes it again. */
export async function openPreview(root, encoded, niivue, signal) {
  const { name, window } = encoded.image;
  const shown = await asDocument(encoded);
  if (signal.aborted) return null;
  const canvas = element("canvas", { tabIndex: 0, role: "img", "aria-label": `Slices of ${name}` });
  const stage = element("div", { className: "stage" }, canvas);
  const readout = element("p", { className: "readout" });
  root.replaceChildren(stage, readout);
  const scene = await Scene.create(canvas, shown, niivue);
  if (signal.aborted) {
    scene.close();
    return null;
  }
  const grey = windowUniform(window);
  scene.set({ view: "fixed", side: 2, label: 0, share: 0.5, square: 10, windows: [...grey, ...grey],
    outlines: 0, lines: 0, change: 0, pixel: scene.nv.uiData.dpr ?? 1 });
  const state = { plane: "axial" };
  const slices = sliceControls(scene, state);
  root.append(element("details", {}, element("summary", {}, "Slices and zoom"), ...slices.parts));
  scene.onDraw(() => {
    slices.refresh();
    readout.textContent = described(shown, scene.index);
    root.dataset.drawn = "yes";
  });
  navigate(root, scene, state, { alone: false, signal });
  const resized = new ResizeObserver(() => scene.layOut());
  resized.observe(stage);
  signal.addEventListener("abort", () => {
    resized.disconnect();
    scene.close();
  });
  return scene;
}

/** Return an image as a document that the viewer's scene shows; only the fixed image is visible. */
async function asDocument({ image, data, ...place }) {
  const codes = await unpacked(data.image);
  const volumes = { fixed: codes, moving: codes, warped: codes, jacobian: codes };
  for (const name of ["shift0", "shift1", "shift2"]) volumes[name] = new Int16Array(1);
  return {
    ...place,
    fixed: image,
    moving: image,
    shift: { shape: [1, 1, 1], step_mm: 1, line_mm: 10 },
    jacobian_limit: 2,
    labels: null,
    landmarks: [],
    volumes,
  };
}

function described(shown, index) {
  const [x, y, z] = index.map(Math.round);
  const code = shown.volumes.fixed[x + shown.shape[0] * (y + shown.shape[1] * z)];
  const place = toWorld(shown, index).map((mm) => mm.toFixed(1)).join(", ");
  return `${place} mm (RAS) \u00b7 intensity ${Number(shown.fixed.levels[code].toPrecision(3))}`;
}

/**
 * Link the cursors of two scenes while `linked()` is true. Return whether their places agree.
 *
 * The cursors are at the same place in RAS+ mm if the fields of view overlap. Otherwise the middles
 * of the two bodies are taken for the same place.
 */
export function link(first, second, linked) {
  const agree = overlap(first.document, second.document) > COMMON;
  const middle = ({ document }) => toWorld(document, document.centre);
  const between = agree ? [0, 0, 0] : middle(first).map((mm, k) => mm - middle(second)[k]);
  const seen = new Map([first, second].map((scene) => [scene, String(scene.index)]));
  const lead = (leader, follower, sign) => {
    const place = toWorld(leader.document, leader.index).map((mm, k) => mm - sign * between[k]);
    follower.goTo(toIndex(follower.document, place));
    seen.set(follower, String(follower.index));
  };
  const follow = (leader, follower, sign) => () => {
    if (seen.get(leader) === String(leader.index)) return;
    seen.set(leader, String(leader.index));
    if (linked()) lead(leader, follower, sign);
  };
  if (linked()) lead(first, second, 1);
  first.onDraw(follow(first, second, 1));
  second.onDraw(follow(second, first, -1));
  return agree;
}

/** Map a place in RAS+ mm to a voxel index. */
export function toIndex({ affine }, place) {
  const [a, b, c] = [0, 1, 2].map((column) => affine.slice(0, 3).map((row) => row[column]));
  const offset = place.map((mm, k) => mm - affine[k][3]);
  const determinant = dot(a, cross(b, c));
  return [cross(b, c), cross(c, a), cross(a, b)].map((side) => dot(offset, side) / determinant);
}

/** Return which share of the smaller box around two fields of view is common, 0 to 1. */
export function overlap(first, second) {
  const boxes = [first, second].map(boxOf);
  const volume = (box) => box.reduce((product, [low, high]) => product * Math.max(high - low, 0), 1);
  const common = [0, 1, 2].map((k) =>
    [Math.max(boxes[0][k][0], boxes[1][k][0]), Math.min(boxes[0][k][1], boxes[1][k][1])]);
  return volume(common) / Math.min(...boxes.map(volume));
}

/** Return the lowest and the highest coordinate along each world axis, mm. */
function boxOf(shown) {
  const corners = [0, 1, 2, 3, 4, 5, 6, 7].map((corner) =>
    toWorld(shown, shown.shape.map((n, k) => ((corner >> k) & 1 ? n - 0.5 : -0.5))));
  return [0, 1, 2].map((k) => {
    const values = corners.map((place) => place[k]);
    return [Math.min(...values), Math.max(...values)];
  });
}

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) =>
  [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
