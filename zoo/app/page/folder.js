// The files of the data folder, one folder at a time.

import { element } from "regzoo/elements";
import { size } from "./files.js";
import { request } from "./server.js";
import { button, failure } from "./widgets.js";

/** Return a list that opens on demand; `chosen(path)` is called with a file or a DICOM folder. */
export function folderList(chosen, signal) {
  const list = element("div", { className: "folder" });
  const show = async (path) => {
    try {
      const folder = await request(`/api/data?path=${encodeURIComponent(path)}`, { signal });
      const rows = folder.entries.map(row);
      if (folder.dicom && folder.path) {
        rows.unshift(element("li", {}, button("Use the DICOM files in this folder", () => chosen(folder.path))));
      }
      if (folder.parent !== null) {
        rows.unshift(element("li", {}, button("\u2191 up", () => show(folder.parent))));
      }
      if (!rows.length) rows.push(element("li", { className: "soft" }, "This folder has no images."));
      list.replaceChildren(
        element("p", { className: "caption path" }, folder.path || "The data folder"),
        element("ul", {}, ...rows),
      );
    } catch (error) {
      if (error.name !== "AbortError") list.replaceChildren(failure(error.message));
    }
  };
  const row = ({ name, path, kind, bytes }) => {
    const open = kind === "folder" ? button(`${name}/`, () => show(path)) : button(name, () => chosen(path));
    const text = bytes === null ? "" : size(bytes);
    return element("li", {}, open, element("span", { className: "soft" }, text));
  };
  const made = element("details", {}, element("summary", {}, "Choose from the data folder"), list);
  made.addEventListener("toggle", () => made.open && !list.childElementCount && show(""));
  return made;
}
