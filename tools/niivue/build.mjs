// Builds zoo/reporting/viewer/vendor/niivue.js from the sources of @niivue/niivue.
//
//   npm pack @niivue/niivue@0.69.0 && tar xzf niivue-niivue-0.69.0.tgz
//   npm install --no-save esbuild@0.28.2 @niivue/niivue@0.69.0
//   node build.mjs package node_modules LICENSE niivue.js
//
// LICENSE is zoo/reporting/viewer/vendor/LICENSE; its text is the first comment of the bundle. The
// viewer shows volumes that are in memory already, so the readers of Zarr and of meshes are left
// out, and the picture that shades meshes is a single pixel.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const [source, modules, licence, target] = process.argv.slice(2).map((path) => resolve(path));
const { build } = createRequire(join(modules, "x.js"))("esbuild");
const PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAP///wAAACH5BAAAAAAALAAAAAABAAEAAAICRAEAOw==";

const left_out = {
  name: "left-out",
  setup({ onResolve, onLoad }) {
    const empty = ({ path }) => ({ path, namespace: "empty" });
    onResolve({ filter: /^(@\/nvmesh-loaders|@\/nvimage\/zarr.*|zarrita|numcodecs.*)$/ }, empty);
    onResolve({ filter: /\.\/Zarr|\.\/zarr$/ }, empty);
    onLoad({ filter: /.*/, namespace: "empty" }, () => ({ contents: "module.exports = {}" }));
    onLoad({ filter: /\.jpg$/ }, () => ({ contents: `export default "${PIXEL}"` }));
  },
};

await build({
  entryPoints: [join(dirname(fileURLToPath(import.meta.url)), "entry.js")],
  outfile: target,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2021",
  charset: "ascii",
  legalComments: "none",
  banner: { js: `/*!\n${readFileSync(licence, "utf8").trimEnd()}\n*/` },
  alias: { "@": join(source, "src") },
  nodePaths: [modules],
  loader: { ".png": "dataurl", ".css": "empty" },
  plugins: [left_out],
});
