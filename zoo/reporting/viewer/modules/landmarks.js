// Landmarks and their error vectors, drawn on a canvas above the slices.

import { FIXED, MOVING, css } from "regzoo/colours";
import { normalAxis } from "regzoo/scene";

const NEAR = 1.5; // slices from a plane within which a landmark is drawn fully
const FAR = 3; // times as far, it is no longer drawn

/** Draw the landmarks near the planes; `when` is before or after. Return how many were drawn. */
export function drawLandmarks(canvas, scene, when, shown) {
  const ratio = scene.nv.uiData.dpr ?? 1;
  canvas.width = scene.canvas.width;
  canvas.height = scene.canvas.height;
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (!shown) return 0;
  let count = 0;
  for (const tile of scene.tiles()) {
    const axis = normalAxis(tile.plane);
    const slice = scene.index[axis];
    pen.save();
    pen.beginPath();
    pen.rect(tile.left, tile.top, tile.width, tile.height);
    pen.clip();
    for (const landmark of scene.document.landmarks) {
      const away = Math.abs(landmark.fixed[axis] - slice) / NEAR;
      if (away > FAR) continue;
      count += 1;
      pen.globalAlpha = away <= 1 ? 1 : 0.35;
      drawOne(pen, tile.place(landmark.fixed), tile.place(landmark[when]), ratio);
    }
    pen.restore();
  }
  return count;
}

function drawOne(pen, fixed, moving, ratio) {
  for (const [width, colour] of [[4, "#000"], [2, "#fff"]]) {
    pen.lineWidth = width * ratio;
    pen.strokeStyle = colour;
    pen.beginPath();
    pen.moveTo(...fixed);
    pen.lineTo(...moving);
    pen.stroke();
  }
  dot(pen, moving, 3.5 * ratio, css(MOVING));
  ring(pen, fixed, 5 * ratio, css(FIXED), 2 * ratio);
}

function dot(pen, [x, y], radius, colour) {
  pen.fillStyle = colour;
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
}

function ring(pen, [x, y], radius, colour, width) {
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.stroke();
}
