// Keys, wheel and pointer that move through the slices of a scene.

import { normalAxis } from "regzoo/scene";

const STEPS = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1 };
const OWN_KEYS = "input, select, summary"; // elements that use the arrow keys themselves

/**
 * Connect a scene to the keys in `root` and to the wheel and the pointer on its canvas.
 *
 * `state.plane` is the plane that was used last. `keys` maps further letters to functions. A key
 * that no element has the focus for counts too if `alone` is true. `signal` disconnects all.
 */
export function navigate(root, scene, state, { keys = {}, alone = true, signal } = {}) {
  const { canvas } = scene;
  const pressed = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const own = keys[event.key.toLowerCase()];
    if (own) {
      own();
    } else if (event.key in STEPS && !event.target.matches(OWN_KEYS)) {
      const axis = normalAxis(state.plane);
      const index = scene.index.map(Math.round);
      scene.goTo(index.map((value, k) => (k === axis ? value + STEPS[event.key] : value)));
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  document.addEventListener(
    "keydown",
    (event) => {
      if (root.contains(event.target) || (alone && event.target === document.body)) pressed(event);
    },
    { capture: true, signal },
  );
  const find = (event) => {
    const box = canvas.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * canvas.width;
    const y = ((event.clientY - box.top) / box.height) * canvas.height;
    const inside = ({ left, top, width, height }) =>
      x >= left && x <= left + width && y >= top && y <= top + height;
    state.plane = scene.tiles().find(inside)?.plane ?? state.plane;
  };
  canvas.addEventListener("pointerdown", (event) => {
    find(event);
    canvas.focus({ preventScroll: true });
  });
  canvas.addEventListener("wheel", find, { passive: true });
  canvas.parentElement.addEventListener(
    "wheel",
    // The page scrolls until the viewer was clicked.
    (event) => document.activeElement !== canvas && event.stopPropagation(),
    { capture: true, passive: true },
  );
}
