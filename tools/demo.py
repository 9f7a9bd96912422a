"""Register real scans with every model, print the figures before and after, and write a report.

python tools/demo.py --out demo

The images are in tools/demo_data: two patients with head-and-neck CT, and two rendered heads of
different contrasts. Each model registers a pair that it is for, with the weights in the package.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.datasets.pairs import load_pair
from zoo.evaluation.cases import case_of_result
from zoo.evaluation.figures import FIGURES
from zoo.io.transforms import read_transform
from zoo.registration.result import RegisteredPair
from zoo.reporting.demo import DEMO_KEYS, DemoRow, demo_cells, write_demo_report
from zoo.reporting.panels import draw_panels

DATA = Path(__file__).resolve().parent / "demo_data"
SHOWN = ("Overlay", "Label outlines", "Deformation")
COMPARED = ("dice", "hd95_mm", "similarity", "nmi")
"""The figures that no registration of the demo may make worse."""


@dataclass(frozen=True)
class DemoPair:
    """A pair of images with labels in `DATA`, and what is known about it as words of a command."""

    name: str
    title: str
    images: tuple[str, str]
    labels: tuple[str, str]
    facts: tuple[str, ...]


NECK = DemoPair(
    "neck",
    "head-and-neck CT of two patients",
    ("neck_fixed_ct", "neck_moving_ct"),
    ("neck_fixed_organs", "neck_moving_organs"),
    ("--modality.0", "ct", "--modality.1", "ct", "--anatomy", "head-neck", "--pairing", "inter"),
)
HEADS = DemoPair(
    "heads",
    "T1-like and T2-like image of two heads",
    ("head_fixed_t1", "head_moving_t2"),
    ("head_fixed_structures", "head_moving_structures"),
    ("--modality.0", "mr", "--modality.1", "mr", "--anatomy", "brain", "--pairing", "inter"),
)
COMPACT = ("--weights", "compact")
REFINED = (*COMPACT, "--affine", "auto", "--refine", "15")  # few steps keep the demo short
RUNS: tuple[tuple[DemoPair, str, tuple[str, ...]], ...] = (
    (NECK, "mcbo", ()),
    (NECK, "unigradicon", REFINED),
    (NECK, "unireg", COMPACT),
    (HEADS, "mcbo", ()),
    (HEADS, "multigradicon", REFINED),
)
"""The pair, the model and its settings of each registration."""


def main() -> int:
    """Run the demo; return 0 if every registration succeeded and made its pair better."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("demo"), help="output folder")
    parser.add_argument("--model", action="append", help="only this model; may be repeated")
    args = parser.parse_args()
    started = time.perf_counter()
    rows = []
    for pair, model, settings in RUNS:
        if args.model is None or model in args.model:
            print(f"{pair.title}: {model} ...", file=sys.stderr, flush=True)
            rows.append(run_model(pair, model, settings, args.out))
    write_demo_report(rows, args.out / "report.html")
    print(table(rows))
    print(f"{time.perf_counter() - started:.0f} s; report: {args.out / 'report.html'}")
    bad = [f"{row.pair}, {row.model}: {row.note}" for row in rows if row.note]
    for line in bad or ([] if rows else [f"--model {args.model} is not in the demo"]):
        print(line, file=sys.stderr)
    return 0 if rows and not bad else 1


def run_model(pair: DemoPair, model: str, settings: Sequence[str], out: Path) -> DemoRow:
    """Return the row of one registration; its note says what is wrong, if anything is."""
    folder = out / f"{pair.name}-{model}"
    words = ["register", *(_file(name) for name in pair.images)]
    for flag, name in zip(("--fixed-labels", "--moving-labels"), pair.labels, strict=True):
        words += [flag, _file(name)]
    words += [*pair.facts, "--model", model, *settings, "--out", str(folder)]
    command = shlex.join(["regzoo", *words])
    process = subprocess.run(
        [sys.executable, "-m", "zoo", *words], capture_output=True, text=True, check=False
    )
    if process.returncode:
        note = (process.stderr.strip() or "failed").splitlines()[-1]
        return DemoRow(pair.title, model, command, note)
    case = case_of_result(folder)
    registration = RegisteredPair(load_pair(case.files), read_transform(case.field))
    panels = [panel for panel in draw_panels(registration) if panel.title in SHOWN]
    result = json.loads((folder / "result.json").read_text())
    worse = worsened(result["figures"])
    note = f"made worse: {', '.join(worse)}" if worse else ""
    return DemoRow(pair.title, model, command, note, result, panels)


def _file(name: str) -> str:
    """Return the path of an image in `DATA`, relative to the working folder if that is above it."""
    path = DATA / f"{name}.nii.gz"
    return str(path.relative_to(Path.cwd()) if Path.cwd() in path.parents else path)


def worsened(figures: Mapping[str, float | None]) -> list[str]:
    """Return the titles of the compared figures that are worse after the registration."""
    worse = []
    for name in COMPARED:
        spec = FIGURES[name]
        before, after = (figures[key] for key in spec.keys)
        if before is None or after is None or (after - before) * spec.better < 0:
            worse.append(spec.title)
    return worse


def table(rows: Sequence[DemoRow]) -> str:
    """Return the figures of all registrations as a text table."""
    lines: list[Sequence[str]] = [DEMO_KEYS]
    lines += [(row.pair, row.model, *demo_cells(row.result)) for row in rows if row.result]
    widths = [max(len(line[k]) for line in lines) for k in range(len(DEMO_KEYS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


if __name__ == "__main__":
    sys.exit(main())
