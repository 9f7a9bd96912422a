// The textures of the viewer. NiiVue uses the units 0 to 10 while it draws slices.

export const UNITS = { images: 11, labels: 12, shift: 13, levels: 14 };

/** Upload the volumes of a decoded document into a WebGL 2 context. */
export function upload(gl, document) {
  const { shape, volumes } = document;
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  const images = [volumes.fixed, volumes.moving, volumes.warped, volumes.jacobian];
  texture3D(gl, UNITS.images, gl.LINEAR);
  gl.texImage3D(gl.TEXTURE_3D, 0, gl.RGBA8, ...shape, 0, gl.RGBA, gl.UNSIGNED_BYTE,
    interleaved(images, Uint8Array, 4));

  const maps = ["fixed_labels", "moving_labels", "warped_labels"].map((name) => volumes[name]);
  const known = document.labels !== null;
  texture3D(gl, UNITS.labels, gl.NEAREST);
  gl.texImage3D(gl.TEXTURE_3D, 0, gl.RGB16UI, ...(known ? shape : [1, 1, 1]), 0, gl.RGB_INTEGER,
    gl.UNSIGNED_SHORT, known ? interleaved(maps, Uint16Array, 3) : new Uint16Array(3));

  const step = document.shift.step_mm;
  const shift = [0, 1, 2].map((axis) => volumes[`shift${axis}`]);
  const mm = interleaved(shift, Float32Array, 4).map((value) => value * step);
  texture3D(gl, UNITS.shift, gl.LINEAR);
  gl.texImage3D(gl.TEXTURE_3D, 0, gl.RGBA16F, ...document.shift.shape, 0, gl.RGBA, gl.FLOAT, mm);

  gl.activeTexture(gl.TEXTURE0 + UNITS.levels);
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  const levels = new Float32Array([...document.fixed.levels, ...document.moving.levels]);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.R32F, 256, 2, 0, gl.RED, gl.FLOAT, levels);
  gl.activeTexture(gl.TEXTURE9);
}

function texture3D(gl, unit, filter) {
  gl.activeTexture(gl.TEXTURE0 + unit);
  gl.bindTexture(gl.TEXTURE_3D, gl.createTexture());
  for (const wrap of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T, gl.TEXTURE_WRAP_R]) {
    gl.texParameteri(gl.TEXTURE_3D, wrap, gl.CLAMP_TO_EDGE);
  }
  gl.texParameteri(gl.TEXTURE_3D, gl.TEXTURE_MIN_FILTER, filter);
  gl.texParameteri(gl.TEXTURE_3D, gl.TEXTURE_MAG_FILTER, filter);
}

/** Put arrays of equal length into one array, channel by channel. */
function interleaved(arrays, Kind, channels) {
  const out = new Kind(arrays[0].length * channels);
  arrays.forEach((array, channel) => {
    for (let k = 0; k < array.length; k++) out[k * channels + channel] = array[k];
  });
  return out;
}
