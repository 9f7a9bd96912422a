// Decoding of the document that `zoo.reporting.viewer.viewer_document` makes.

/** Return the bytes of a text that is gzip in base64. */
export async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Return the document with its volumes as typed arrays, first axis fastest, in `volumes`. */
export async function decoded(document) {
  const names = Object.keys(document.data);
  const arrays = await Promise.all(names.map((name) => unpacked(document.data[name])));
  const volumes = Object.fromEntries(names.map((name, k) => [name, arrays[k]]));
  for (const name of ["shift0", "shift1", "shift2"]) {
    volumes[name] = new Int16Array(volumes[name].buffer);
  }
  if (document.labels?.bytes === 2) {
    for (const name of ["fixed_labels", "moving_labels", "warped_labels"]) {
      volumes[name] = new Uint16Array(volumes[name].buffer);
    }
  }
  const { data, ...rest } = document;
  return { ...rest, volumes };
}

/** Map a voxel index to RAS+ mm. */
export function toWorld(document, index) {
  return document.affine
    .slice(0, 3)
    .map((row) => row[0] * index[0] + row[1] * index[1] + row[2] * index[2] + row[3]);
}

/** Return the position of the nearest voxel of an index in the typed arrays. */
export function offset(document, index) {
  const [x, y, z] = index.map((value, k) =>
    Math.min(Math.max(Math.round(value), 0), document.shape[k] - 1),
  );
  return x + document.shape[0] * (y + document.shape[1] * z);
}

/** Return the black level and the slope of a window, as the shader takes them. */
export const windowUniform = ([low, high]) => [low, 1 / Math.max(high - low, 1e-6)];

/** Return the volume change of a code of the Jacobian; 0 for a folded voxel. */
export function volumeChange(document, code) {
  if (code === 0) return 0;
  const limit = document.jacobian_limit;
  return 2 ** (((code - 1) / 254) * 2 * limit - limit);
}

/** Return a NIfTI-1 file of the fixed image's codes, with axes along RAS. */
export function niftiOf(document) {
  const file = new ArrayBuffer(352 + document.volumes.fixed.length);
  const view = new DataView(file);
  view.setInt32(0, 348, true);
  [3, ...document.shape, 1, 1, 1, 1].forEach((n, k) => view.setInt16(40 + 2 * k, n, true));
  view.setInt16(70, 2, true); // uint8
  view.setInt16(72, 8, true);
  [1, ...document.spacing].forEach((mm, k) => view.setFloat32(76 + 4 * k, mm, true));
  view.setFloat32(108, 352, true);
  view.setFloat32(112, 1, true);
  view.setUint8(123, 2); // mm
  view.setInt16(254, 1, true);
  document.spacing.forEach((mm, k) => view.setFloat32(280 + 20 * k, mm, true));
  [0x6e, 0x2b, 0x31].forEach((letter, k) => view.setUint8(344 + k, letter));
  new Uint8Array(file, 352).set(document.volumes.fixed);
  return file;
}
