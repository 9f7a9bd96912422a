// The histogram of the volume change above its colour bar.

import { FOLDED, VOLUME_CHANGE, between, css } from "regzoo/colours";
import { element } from "regzoo/elements";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 320;
const HEIGHT = 90;
const BAR = 14; // height of the colour bar
const BINS = 64;

/** Return the number of voxels per bin of log2 of the volume change, and the folded voxels. */
export function counted(document) {
  const bins = new Array(BINS).fill(0);
  let folded = 0;
  for (const code of document.volumes.jacobian) {
    if (code === 0) folded += 1;
    else bins[Math.min(Math.floor(((code - 1) / 255) * BINS), BINS - 1)] += 1;
  }
  return { bins, folded };
}

/** Return the figure of the volume change of a decoded document. */
export function histogram(document) {
  const { bins, folded } = counted(document);
  const limit = document.jacobian_limit;
  const most = Math.max(...bins, 1);
  const colour = (k) => css(between(VOLUME_CHANGE, 0.5 + (((k + 0.5) / BINS) * 2 - 1) * limit * 0.5));
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT + BAR + 20}`, role: "img" });
  drawing.setAttribute("aria-label", "Histogram of the volume change");
  bins.forEach((count, k) => {
    const x = (k / BINS) * WIDTH;
    const height = (count / most) * HEIGHT;
    const width = WIDTH / BINS;
    drawing.append(
      svg("rect", { class: "bar", x, y: HEIGHT - height, width: width - 0.6, height }),
      svg("rect", { x, y: HEIGHT + 3, width: width + 0.3, height: BAR, fill: colour(k) }),
    );
  });
  for (let power = -limit; power <= limit; power += 1) {
    const x = ((power + limit) / (2 * limit)) * WIDTH;
    const anchor = power === -limit ? "start" : power === limit ? "end" : "middle";
    const tick = svg("text", { x, y: HEIGHT + BAR + 17, "text-anchor": anchor });
    tick.textContent = power < 0 ? `1/${2 ** -power}` : `${2 ** power}`;
    drawing.append(tick);
  }
  const share = (100 * folded) / document.volumes.jacobian.length;
  const swatch = element("span", { className: "swatch" });
  swatch.style.background = css(FOLDED);
  const note = `folded: ${share === 0 ? "none" : `${share.toPrecision(2)} %`} of the voxels of the viewer`;
  return element(
    "figure",
    { className: "histogram" },
    drawing,
    element("figcaption", {}, "Volume change, moving over fixed. ", swatch, note),
  );
}

function svg(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
