// The place for one input: choose or drop it, follow its upload, and see what was detected about it.

import { element } from "regzoo/elements";
import { chosen, chosenFolder, dropped, size, upload } from "./files.js";
import { folderList } from "./folder.js";
import { request } from "./server.js";
import { button, choiceField, failure, warningBox } from "./widgets.js";

const MODALITIES = { ct: "CT", cbct: "cone-beam CT", mr: "MR", us: "ultrasound", pet: "PET" };

export class Slot {
  /**
   * `changed(input)` is called with an input of the server or null. `spare(uploads)` takes further
   * images that were dropped at once. An `image` slot takes folders and shows more about the input.
   */
  constructor({ title, help, image, context, changed, spare, signal }) {
    Object.assign(this, { title, image, context, changed, spare, signal });
    this.input = null;
    this.body = element("div", { className: "body" });
    this.preview = element("div", { className: "viewer preview" });
    this.root = element(
      "section",
      { className: image ? "slot" : "slot small", "aria-label": title },
      element(image ? "h2" : "h3", {}, title),
      ...(help ? [element("p", { className: "caption" }, help)] : []),
      this.body,
      this.preview,
    );
    this.listenToDrops();
    this.showChoice();
  }

  listenToDrops() {
    const over = (inside) => (event) => {
      event.preventDefault();
      this.root.classList.toggle("over", inside);
    };
    this.root.addEventListener("dragover", over(true));
    this.root.addEventListener("dragleave", over(false));
    this.root.addEventListener("drop", (event) => {
      over(false)(event);
      event.stopPropagation();
      this.take(dropped(event.dataTransfer));
    });
  }

  /** Take what was chosen or dropped: the first image for this place, the others as `spare`. */
  async take(finding) {
    try {
      const [first, ...others] = await finding;
      if (!first) return;
      if (others.length) this.spare?.(others);
      await this.begin((signal) => this.uploaded(first, signal));
    } catch (error) {
      this.showChoice(error.message || String(error));
    }
  }

  /** Use a file or a folder of the data folder. */
  takePath(path) {
    return this.begin(async (signal) => {
      this.body.replaceChildren(element("p", { role: "status" }, `Reading ${path}`));
      return request("/api/inputs", { method: "POST", json: { path }, signal });
    });
  }

  /** Use an input that the server has already. */
  takeId(id) {
    return this.begin((signal) => request(`/api/inputs/${encodeURIComponent(id)}`, { signal }), true);
  }

  async begin(getting, known = false) {
    this.stop?.abort();
    const stop = new AbortController();
    this.stop = stop;
    this.signal.addEventListener("abort", () => stop.abort(), { signal: stop.signal });
    if (this.input) this.forget();
    try {
      const input = await getting(stop.signal);
      if (this.stop !== stop || this.signal.aborted) return;
      this.show(input);
      if (!known) this.context.say(`${this.title}: ${input.name} is ready`);
    } catch (error) {
      if (this.stop !== stop || this.signal.aborted) return;
      const gone = known && error.code === 404;
      if (error.name === "AbortError") this.showChoice();
      else this.showChoice(gone ? "The server no longer has this file. Choose it again." : error.message);
      if (known) this.changed(null);
    }
  }

  uploaded(one, signal) {
    const bar = element("progress", { max: 1, value: 0, "aria-label": `Upload of ${one.name}` });
    const text = element("span", {}, "0 %");
    const stop = this.stop;
    this.body.replaceChildren(
      element("p", {}, `Sending ${one.name}`),
      element("div", { className: "bar" }, bar, text, button("Cancel", () => stop.abort())),
    );
    this.context.say(`${this.title}: sending ${one.name}`);
    const progress = (share) => {
      bar.value = share;
      text.textContent = share < 1 ? `${Math.round(100 * share)} %` : "Reading the image";
    };
    return upload(one, this.context.app.max_upload, progress, signal);
  }

  /** Show how to choose an input, and what was wrong with the last one. */
  showChoice(problem = "") {
    const { app } = this.context;
    const picker = (text, properties, take) => {
      const input = element("input", { type: "file", ...properties });
      input.addEventListener("change", () => {
        this.take(Promise.resolve(take(input.files)));
      });
      return element("label", { className: "button" }, text, input);
    };
    const ways = [picker("Choose a file", {}, chosen)];
    if (this.image) {
      ways.push(picker("Choose a DICOM folder", { webkitdirectory: true }, chosenFolder));
    }
    const parts = [element("p", { className: "ways" }, ...ways)];
    if (this.image) parts.unshift(element("p", {}, "Drop a file or a folder here, or"));
    if (app.data) parts.push(folderList((path) => this.takePath(path), this.signal));
    if (problem) parts.unshift(failure(problem));
    this.body.replaceChildren(element("div", { className: "drop" }, ...parts));
  }

  /** Show an input of the server and report it. */
  show(input) {
    this.input = input;
    const head = element("div", { className: "bar" }, element("b", { className: "path" }, input.name),
      button("Change", () => this.chooseAgain()));
    head.lastChild.setAttribute("aria-label", `Change: ${this.title}`);
    const parts = [head];
    if (input.series) parts.push(this.seriesChoice(input));
    else if (input.problem) parts.push(failure(input.problem));
    const warnings = input.image?.warnings ?? [];
    if (warnings.length) parts.push(warningBox("check", warnings));
    parts.push(this.image && input.image ? facts(input) : element("p", { className: "caption" }, short(input)));
    this.body.replaceChildren(...parts);
    this.changed(input.problem ? null : input);
  }

  seriesChoice(input) {
    const options = [["", `Choose one of ${input.series.length} series`], ...input.series.map(({ uid, title }) => [uid, title])];
    return choiceField("Series", options, "", (uid) => {
      if (!uid) return;
      const address = `/api/inputs/${encodeURIComponent(input.id)}/series`;
      this.begin((signal) => request(address, { method: "POST", json: { uid }, signal }));
    });
  }

  /** Forget the input, or stop its upload. */
  clear() {
    this.stop?.abort();
    this.stop = null;
    if (this.input) this.forget();
    this.showChoice();
  }

  chooseAgain() {
    this.clear();
    this.body.querySelector("input")?.focus();
  }

  forget() {
    this.input = null;
    this.changed(null);
  }
}

function short({ bytes, kind, labels, points }) {
  if (kind === "points" && points) return `${points.count} landmarks`;
  if (kind === "labels" && labels) return `${labels.count} ${labels.count === 1 ? "label" : "labels"}`;
  return size(bytes);
}

/** Return what was detected about an image, with the evidence for its modality. */
function facts({ bytes, image }) {
  const { modality, anatomy } = image;
  const rounded = (values, digits) => values.map((value) => Number(value.toPrecision(digits))).join(" x ");
  const belief = (value, { confidence, evidence }) => {
    const shown = element("dd", {}, value ? `${value} (${confidence})` : "not known");
    if (evidence) shown.append(element("span", { className: "caption" }, evidence));
    return shown;
  };
  const rows = [
    ["Voxels", `${image.shape.join(" x ")}${image.volumes > 1 ? `, ${image.volumes} volumes` : ""}`],
    ["Voxel size", `${rounded(image.spacing_mm, 3)} mm`],
    ["Field of view", `${rounded(image.field_mm, 3)} mm`],
    ["Axes", image.orientation],
    ["Intensities", `${Number(image.minimum.toPrecision(4))} to ${Number(image.maximum.toPrecision(4))}, ${image.type}, ${size(bytes)}`],
    ["Modality", belief(MODALITIES[modality.value] ?? modality.value, modality)],
  ];
  if (anatomy?.value) rows.push(["Anatomy", belief(anatomy.value, anatomy)]);
  const parts = rows.flatMap(([name, value]) =>
    [element("dt", {}, name), typeof value === "string" ? element("dd", {}, value) : value]);
  return element("dl", { className: "facts" }, ...parts);
}
