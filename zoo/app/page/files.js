// Files that were chosen or dropped: what is one image, and its upload.

import { ServerError, request, send } from "./server.js";

const IMAGES = [".nii", ".nii.gz", ".mha", ".nrrd", ".zip"];
const AT_ONCE = 4; // files of a folder that are sent at the same time

/** One image to upload: a file, or a folder whose files have paths relative to it. */
const single = (file) => ({ name: file.name, files: [{ file, path: file.name }], folder: false });

/** Return what a file list holds: one upload per image, or all of it as one folder of DICOM files. */
export function chosen(files) {
  const list = [...files];
  const images = list.every(({ name }) => IMAGES.some((end) => name.toLowerCase().endsWith(end)));
  if (list.length === 1 || images) return list.map(single);
  return [{ name: "DICOM files", files: list.map((file) => ({ file, path: file.name })), folder: true }];
}

/** Return a folder that was chosen with the button. */
export function chosenFolder(files) {
  const list = [...files].map((file) => {
    const [top, ...rest] = (file.webkitRelativePath || file.name).split("/");
    return { file, top, path: rest.join("/") || file.name };
  });
  return list.length ? [{ name: list[0].top, files: list.map(({ file, path }) => ({ file, path })), folder: true }] : [];
}

/** Return what was dropped; a folder is read with all that it contains. */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const folders = entries.filter((entry) => entry.isDirectory);
  if (!folders.length) return transfer.files.length ? chosen(transfer.files) : [];
  return Promise.all(
    folders.map(async (entry) => ({ name: entry.name, files: await filesIn(entry, ""), folder: true })),
  );
}

async function filesIn(folder, prefix) {
  const reader = folder.createReader();
  const out = [];
  for (;;) {
    // A reader returns a part of a long folder at a time.
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!entries.length) return out;
    for (const entry of entries) {
      const path = prefix + entry.name;
      if (entry.isDirectory) out.push(...(await filesIn(entry, `${path}/`)));
      else out.push({ path, file: await new Promise((resolve, reject) => entry.file(resolve, reject)) });
    }
  }
}

/** Upload an image and return the input; `progress` is called with the share that was sent, 0 to 1. */
export async function upload({ name, files, folder }, limit, progress, signal) {
  const total = files.reduce((sum, { file }) => sum + file.size, 0);
  if (total > limit) {
    throw new ServerError(
      `${name} has ${size(total)}, more than the ${size(limit)} that this server accepts. ` +
        "Reduce the image, or run the command regzoo register on your computer.",
      413,
    );
  }
  const query = `name=${encodeURIComponent(name)}`;
  const share = (bytes) => progress(total ? bytes / total : 0);
  if (!folder) return send("POST", `/api/inputs?${query}`, files[0].file, { progress: share, signal });
  const { id } = await send("POST", `/api/inputs?${query}&folder=true`, "", { signal });
  const sent = new Map();
  const waiting = [...files];
  const work = async () => {
    for (let next = waiting.shift(); next && !signal.aborted; next = waiting.shift()) {
      const { path, file } = next;
      const count = (bytes) => {
        sent.set(path, Math.min(bytes, file.size));
        share([...sent.values()].reduce((a, b) => a + b, 0));
      };
      await send("PUT", `/api/inputs/${id}/files?name=${encodeURIComponent(path)}`, file, { progress: count, signal });
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    return await request(`/api/inputs/${id}/complete`, { method: "POST", signal });
  } catch (error) {
    request(`/api/inputs/${id}`, { method: "DELETE" }).catch(() => {}); // what was sent is of no use
    throw error;
  }
}

/** Return a number of bytes in words. */
export function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), units.length - 1);
  const value = bytes / 1000 ** power;
  return `${power ? Number(value.toPrecision(3)) : value} ${units[power]}`;
}
