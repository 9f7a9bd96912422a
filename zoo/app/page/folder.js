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
      const rows = folder.entries.map((entry) => row(entry));
      if (folder.parent !== null && folder.path) rows.unshift(element("li", {}, button("\u2191 up", () => show(folder.parent))));
      if (!rows.length) rows.push(element("li", { className: "soft" }, "This folder has no images."));
      list.replaceChildren(
        element("p", { className: "caption path" }, folder.path || "The data folder"),
        element("ul", {}, ...rows),
      );
    } catch (error) {
      if (error.name !== "AbortError") list.replaceChildren(failure(error.message));
    }
  };
  const row = ({ name, path, kind, bytes, dicom }) => {
    const item = element("li", {});
    if (kind === "folder") item.append(button(`${name}/`, () => show(path)));
    if (kind !== "folder" || dicom) {
      item.append(button(kind === "folder" ? `Use ${name}, a DICOM folder` : name, () => chosen(path)));
    }
    if (bytes !== null) item.append(element("span", { className: "soft" }, size(bytes)));
    return item;
  };
  const made = element("details", {}, element("summary", {}, "Choose from the data folder"), list);
  made.addEventListener("toggle", () => made.open && !list.childElementCount && show(""));
  return made;
}
