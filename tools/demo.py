"""Register a phantom pair with each model whose weights are available, and write a report.

python tools/demo.py --out demo
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import torch

from zoo.datasets.pairs import load_pair
from zoo.evaluation.cases import case_of_result
from zoo.hub.bundles import bundle_names
from zoo.hub.weights import models_to_choose
from zoo.io.points import write_points
from zoo.io.transforms import read_transform
from zoo.io.volume import write_volume
from zoo.registration.result import RegisteredPair
from zoo.reporting.demo import DEMO_KEYS, DemoRow, demo_cells, write_demo_report
from zoo.reporting.panels import draw_panels
from zoo.synthesis.phantom import make_pair

SHOWN = ("Overlay", "Label outlines", "Deformation")


def main() -> int:
    """Run the demo and return the exit code: 0 if at least one model registered the pair."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("demo"), help="output folder")
    parser.add_argument("--model", action="append", help="only this model; may be repeated")
    args = parser.parse_args()
    files = write_phantom(args.out / "data")
    rows = []
    for name in args.model or bundle_names():
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows.append(run_model(name, files, args.out / name))
    write_demo_report(rows, args.out / "report.html")
    print(table(rows))
    print(f"report: {args.out / 'report.html'}")
    return 0 if any(row.result for row in rows) else 1


def write_phantom(folder: Path) -> dict[str, Path]:
    """Write two images of one anatomy and contrast, which every model suits, and annotations."""
    folder.mkdir(parents=True, exist_ok=True)
    pair = make_pair(7, shape=(64, 64, 64), spacing=(2.5, 2.5, 2.5), contrasts=("t1", "t1"))
    files = {}
    for side in ("fixed", "moving"):
        grid = getattr(pair, f"{side}_grid")
        files[side] = folder / f"{side}.nii.gz"
        files[f"{side}_labels"] = folder / f"{side}_labels.nii.gz"
        files[f"{side}_points"] = folder / f"{side}_points.csv"
        write_volume(files[side], getattr(pair, side), grid, torch.int16)
        write_volume(files[f"{side}_labels"], getattr(pair, f"{side}_labels"), grid)
        write_points(files[f"{side}_points"], getattr(pair, f"{side}_points"), "ras")
    return files


def run_model(name: str, files: dict[str, Path], folder: Path) -> DemoRow:
    """Return the row of a model: the registration of the pair, or the reason why there is none."""
    if name not in models_to_choose():
        return DemoRow(name, f"needs the official weights; run `regzoo pull {name}`")
    words = [sys.executable, "-m", "zoo", "register", str(files["fixed"]), str(files["moving"])]
    words += ["--model", name, "--out", str(folder), "--anatomy", "brain", "--pairing", "intra"]
    for key in ("fixed_labels", "moving_labels", "fixed_points", "moving_points"):
        words += ["--" + key.replace("_", "-"), str(files[key])]
    process = subprocess.run(words, capture_output=True, text=True)
    if process.returncode:
        return DemoRow(name, (process.stderr.strip() or "failed").splitlines()[-1])
    case = case_of_result(folder)
    registration = RegisteredPair(load_pair(case.files), read_transform(case.field))
    panels = [panel for panel in draw_panels(registration) if panel.title in SHOWN]
    return DemoRow(name, result=json.loads((folder / "result.json").read_text()), panels=panels)


def table(rows: list[DemoRow]) -> str:
    """Return the figures of all models as a text table."""
    lines = [("model", *DEMO_KEYS[1:])]
    lines += [(row.model, *demo_cells(row.result)) for row in rows if row.result]
    widths = [max(len(line[k]) for line in lines) for k in range(len(DEMO_KEYS))]
    out = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in lines]
    return "\n".join(out + [f"{row.model}  {row.note}" for row in rows if not row.result])


if __name__ == "__main__":
    sys.exit(main())
