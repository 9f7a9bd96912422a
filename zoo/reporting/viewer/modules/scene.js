// The slices of a registration on one canvas, drawn by NiiVue with the shader of this viewer.

import { niftiOf } from "regzoo/data";
import { FRAGMENT, VIEWS } from "regzoo/shader";
import { UNITS, upload } from "regzoo/textures";

export const PLANES = ["axial", "coronal", "sagittal"];
const NORMAL = { axial: 2, coronal: 1, sagittal: 0 };
const AXES = { axial: [0, 1], coronal: [0, 2], sagittal: [1, 2] }; // across, up
const CROSSHAIR = 1.3; // width of its lines, pixels of the page; thinner ones can vanish
const GAP = 4; // pixels between two planes
const NARROW = 700; // pixels of the canvas below which the planes are in two rows

/** Return the array axis that is normal to a plane. */
export const normalAxis = (plane) => NORMAL[plane];

export class Scene {
  /** Make the scene of a decoded document on a canvas; `niivue` is the module of NiiVue. */
  static async create(canvas, document, niivue) {
    const scene = new Scene();
    scene.document = document;
    scene.canvas = canvas;
    scene.size = document.shape.map((n, k) => n * document.spacing[k]);
    scene.planes = PLANES;
    scene.zoom = 1;
    scene.listeners = [];
    const nv = new niivue.Niivue({
      logLevel: "error",
      backColor: [0, 0, 0, 1],
      crosshairColor: [0.45, 1, 0.75, 0.9],
      crosshairWidthUnit: "mm",
      fontColor: [1, 1, 1, 1],
      isForceMouseClickToVoxelCenters: true,
      isRadiologicalConvention: true,
      sagittalNoseLeft: true,
      dragAndDropEnabled: false,
      dragMode: 0,
      clipPlaneHotKey: "",
      viewModeHotKey: "",
      loadingText: "",
    });
    scene.nv = nv;
    await nv.attachToCanvas(canvas, false);
    upload(nv.gl, document);
    nv.setCustomSliceShader(FRAGMENT);
    scene.set({ ...UNITS, size: scene.size, lineDistance: document.shift.line_mm,
      changeLimit: document.jacobian_limit });
    nv.addVolume(await niivue.NVImage.new(niftiOf(document), "fixed.nii", "gray"));
    const draw = nv.drawScene.bind(nv);
    nv.drawScene = () => {
      draw();
      scene.moved();
    };
    scene.layOut();
    scene.goTo(document.centre);
    return scene;
  }

  /** Set uniforms of the shader by name; sizes in pixels follow the resolution of the screen. */
  set(values) {
    const { gl, customSliceShader } = this.nv;
    const integers = new Set([...Object.keys(UNITS), "view", "side", "label"]);
    gl.useProgram(customSliceShader.program);
    for (const [name, value] of Object.entries(values)) {
      const place = gl.getUniformLocation(customSliceShader.program, name);
      if (integers.has(name)) gl.uniform1i(place, name === "view" ? VIEWS[value] : value);
      else if (Array.isArray(value)) gl[`uniform${value.length}f`](place, ...value);
      else gl.uniform1f(place, value);
    }
    this.draw();
  }

  /** Draw in the next frame. */
  draw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.nv.drawScene();
    });
  }

  /** The voxel index of the cursor. */
  get index() {
    const frac = this.nv.scene.crosshairPos;
    return this.document.shape.map((n, k) => Math.min(Math.max(frac[k] * n - 0.5, 0), n - 1));
  }

  /** Move the cursor to the voxel that is nearest to an index. */
  goTo(index) {
    const { shape } = this.document;
    const frac = shape.map((n, k) => (Math.min(Math.max(Math.round(index[k]), 0), n - 1) + 0.5) / n);
    this.nv.scene.crosshairPos = frac;
    this.setZoom(this.zoom);
  }

  /** Enlarge the planes around the cursor. */
  setZoom(zoom) {
    this.zoom = zoom;
    this.middle = zoom === 1 ? [0.5, 0.5, 0.5] : [...this.nv.scene.crosshairPos];
    // NiiVue shows the mm (x - pan) / zoom of each axis, on which voxel 0 is at 0 mm.
    const { shape, spacing } = this.document;
    const pan = shape.map((n, k) => {
      const centre = ((n - 1) / 2) * spacing[k];
      return centre - zoom * (centre + (this.middle[k] - 0.5) * this.size[k]);
    });
    this.nv.scene.pan2Dxyzmm = [...pan, zoom];
    this.fitCrosshair();
    this.set({ middle: this.middle, zoom });
  }

  /** Show some of the planes. */
  show(planes) {
    this.planes = planes;
    this.layOut();
  }

  /** Arrange the planes at equal scale and give the canvas the proportions of the arrangement. */
  layOut() {
    const stage = this.canvas.parentElement;
    const extent = (plane) => AXES[plane].map((axis) => this.size[axis]);
    const narrow = stage.clientWidth < NARROW && this.planes.length === 3;
    const rows = narrow ? [this.planes.slice(0, 2), this.planes.slice(2)] : [this.planes];
    const heights = rows.map((row) => Math.max(...row.map((plane) => extent(plane)[1])));
    const widths = rows.map((row) => row.reduce((sum, plane) => sum + extent(plane)[0], 0));
    const width = Math.max(...widths);
    const gap = (GAP * width) / Math.max(stage.clientWidth, 1);
    const total = [
      width + gap * (Math.max(...rows.map((row) => row.length)) - 1),
      heights.reduce((a, b) => a + b) + gap * (rows.length - 1),
    ];
    stage.style.aspectRatio = `${total[0]} / ${total[1]}`;
    const layout = [];
    let top = 0;
    rows.forEach((row, k) => {
      let left = 0;
      for (const plane of row) {
        const [across, up] = extent(plane);
        const y = top + (heights[k] - up) / 2;
        const position = [left / total[0], y / total[1], across / total[0], up / total[1]];
        layout.push({ sliceType: PLANES.indexOf(plane), position });
        left += across + gap;
      }
      top += heights[k] + gap;
    });
    this.nv.setCustomLayout(layout);
    this.pixel = total[0] / Math.max(stage.clientWidth, 1);
    this.fitCrosshair();
    this.draw();
  }

  /** Give the lines of the crosshair their width, whose unit is mm of the image. */
  fitCrosshair() {
    const width = (CROSSHAIR * this.pixel) / this.zoom;
    if (width !== this.nv.opts.crosshairWidth) this.nv.setCrosshairWidth(width);
  }

  /** The planes on the canvas, each with the place of a voxel index in pixels of the canvas. */
  tiles() {
    return this.nv.screenSlices.map((tile) => {
      const [left, top, width, height] = tile.leftTopWidthHeight;
      const plane = PLANES[tile.axCorSag];
      const [across, up] = AXES[plane];
      const place = (index) => {
        const frac = index.map((value, k) => (value + 0.5) / this.document.shape[k]);
        return [
          left + width * (0.5 - (frac[across] - this.middle[across]) * this.zoom),
          top + height * (0.5 - (frac[up] - this.middle[up]) * this.zoom),
        ];
      };
      return { plane, left, top, width, height, place };
    });
  }

  /** Call `listener` whenever the canvas was drawn again. */
  onDraw(listener) {
    this.listeners.push(listener);
  }

  /** Free the graphics card and stop listening; the canvas cannot be used again. */
  close() {
    cancelAnimationFrame(this.frame);
    this.nv.cleanup();
    this.nv.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }

  moved() {
    for (const listener of this.listeners) listener();
  }
}
