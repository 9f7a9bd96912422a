// Opens the viewer of a report, whose document and library are in the page itself.

import { unpacked } from "regzoo/data";
import { open, supported } from "regzoo/viewer";

/** Replace the sentence in `#viewer` by the viewer, if this browser can show it. */
export async function start() {
  const root = document.getElementById("viewer");
  const still = document.getElementById("still");
  const sentence = root.textContent;
  try {
    if (!supported()) return;
    root.textContent = "The images are being unpacked.";
    const library = await unpacked(document.getElementById("viewer-library").textContent);
    const address = URL.createObjectURL(new Blob([library], { type: "text/javascript" }));
    const niivue = await import(address);
    URL.revokeObjectURL(address);
    const encoded = JSON.parse(document.getElementById("viewer-document").textContent);
    window.viewer = await open(root, encoded, niivue);
    still.open = false;
    addEventListener("beforeprint", () => (still.open = true));
    root.dataset.state = "open";
  } catch (error) {
    root.replaceChildren(`${sentence} (${error.message})`);
    still.open = true;
    root.dataset.state = "failed";
  }
}
