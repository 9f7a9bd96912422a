// The colours of the viewer. Orange and blue differ for readers with any colour vision.

export const FIXED = [1.0, 0.66, 0.12];
export const MOVING = [0.2, 0.72, 1.0];
export const FOLDED = [1.0, 0.9, 0.0];

const map = (colours) =>
  colours.split(" ").map((hex) => [0, 2, 4].map((k) => parseInt(hex.slice(k, k + 2), 16) / 255));

/** Evenly spaced colours of matplotlib's RdBu_r: half the volume, no change, twice the volume. */
export const VOLUME_CHANGE = map(
  "053061 2065ab 4393c3 90c4dd d1e5f0 f7f6f6 fddbc7 f3a481 d6604d b1182b 67001f",
);

/** Evenly spaced colours of matplotlib's inferno, for differences. */
export const DIFFERENCE = map(
  "000004 160b39 420a68 6a176e 932667 bc3754 dd513a f37819 fca50a f6d746 fcffa4",
);

/** Return a colour as CSS. */
export function css(colour) {
  return `rgb(${colour.map((value) => Math.round(255 * value)).join(" ")})`;
}

/** Return the colour at `share`, 0 to 1, of evenly spaced colours. */
export function between(colours, share) {
  const place = Math.min(Math.max(share, 0), 1) * (colours.length - 1);
  const k = Math.min(Math.floor(place), colours.length - 2);
  return colours[k].map((value, c) => value + (place - k) * (colours[k + 1][c] - value));
}
