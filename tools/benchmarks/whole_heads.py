"""Does the default registration of whole heads fold where one of them lacks a part of the neck?

    PYTHONPATH=tools python -m benchmarks.whole_heads DATA

DATA holds `anatomy_synthseg`. Pairs of rendered heads of two persons, of which one lacks 40 to 60 %
of the neck (padded in every second pair), are registered with MCBO's defaults at 2 mm. Figures are
appended to OUT/runs.jsonl; run the same command again to resume. OUT/table.md shows them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.alignment_coverage import Case, dice, head_pairs
from benchmarks.harness.registrars import mcbo_registrar
from benchmarks.harness.runs import Run, append_run, read_runs
from benchmarks.harness.tables import heading, row
from zoo.datasets.pairs import Pair
from zoo.geometry import Grid, Transform, warp
from zoo.io.volume import Volume
from zoo.runtime.registrar import Registrar

SPACING = 2.0
"""Voxel size in mm at which the heads are registered."""


def main() -> None:
    """Register the pairs that are missing, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with the label maps")
    parser.add_argument("--pairs", type=int, default=8, help="number of pairs")
    parser.add_argument("--out", type=Path, default=Path("bench/whole_heads"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    log = args.out / "runs.jsonl"
    done = {run["pair"] for run in read_runs(log)}
    with mcbo_registrar() as registrar:
        for name, load in list(head_pairs(args.data, ("neck",)))[: args.pairs]:
            if name not in done:
                append_run(log, measure(registrar, name, load()))
    (args.out / "table.md").write_text(markdown(read_runs(log)))


def measure(registrar: Registrar, name: str, case: Case) -> Run:
    """Register a pair and return its figures."""
    fixed, moving = (
        coarser(image, grid) for image, grid in zip(case.images, case.grids, strict=True)
    )
    start = time.process_time()
    found = registrar.register(Pair(name=name, fixed=fixed, moving=(moving,)))
    seconds = time.process_time() - start
    figures = found.measured.figures
    return {
        "pair": name,
        "folding_percent": figures["folding_percent"],
        "sd_log_jacobian": figures["sd_log_jacobian"],
        "overlap_percent": figures["overlap_percent_after"],
        "dice_affine": dice(case, Transform(found.transform.affine)),
        "dice_after": dice(case, found.transform),
        "quality": found.verdict.quality,
        "warnings": list(found.verdict.warnings),
        "seconds": seconds,
    }


def coarser(image: Tensor, grid: Grid) -> Volume:
    """Return an image [X, Y, Z] on a grid with the same field of view and voxels of `SPACING`."""
    coarse = grid.with_spacing((SPACING,) * 3)
    data = warp(image[None], grid, coarse, Transform.identity())[0]
    return Volume(data, coarse, Path("head.nii.gz"))


def markdown(runs: list[Run]) -> str:
    """Return a table with one row per pair."""
    numbers = ["folding %", "SD of log J", "Dice affine", "Dice after", "CPU s"]
    lines = [heading(["pair", "verdict"], numbers)]
    for run in runs:
        cells = [f"{run['folding_percent']:.4f}", f"{run['sd_log_jacobian']:.2f}"]
        cells += [f"{run['dice_affine']:.3f}", f"{run['dice_after']:.3f}", f"{run['seconds']:.0f}"]
        lines.append(row([run["pair"], run["quality"], *cells]))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
