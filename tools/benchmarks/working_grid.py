"""How fine must the working grid of MCBO be along the axes in which an image is coarse?

    PYTHONPATH=tools python -m benchmarks.working_grid --data FOLDER --out bench/working_grid

Brains are averaged to thick slices, and head-and-neck CT has them. Each pair is registered on
working grids with at most K times the voxels of the fixed image, and on one with its finest
spacing. The labels keep their full resolution. Figures are appended to OUT/runs.jsonl, so that the
same command resumes; OUT/table.md shows the mean Dice and the CPU seconds of the registration.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.harness.accuracy import mean_dice
from benchmarks.harness.measurement import Timer
from benchmarks.harness.pairs import BenchPair, data_pairs
from benchmarks.harness.registrars import mcbo_registrar
from benchmarks.harness.rendered_pairs import rendered_pairs
from benchmarks.harness.runs import append_run, read_runs
from benchmarks.harness.tables import heading, row
from zoo.datasets.pairs import Pair
from zoo.geometry import Transform, sd_log_jacobian, warp
from zoo.geometry.jacobian import folding_percent, jacobian_determinant
from zoo.io.labels import read_labels
from zoo.io.volume import Volume, read_volume

THICK = {
    "malf_1000_1001": (2, 5),
    "malf_1000_1003": (0, 4),
    "rendered_brain_t1_t1_b": (1, 5),
    "rendered_brain_t1_flair": (2, 4),
}
"""The axis along which voxels are averaged, and how many."""
FACTORS = (1.0, 2.0, 2.5, 4.0)
"""Largest numbers of voxels, relative to the fixed image."""


def main() -> None:
    """Measure the combinations that are missing, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with the image pairs")
    parser.add_argument("--pairs", default="", help="names of pairs, comma-separated")
    parser.add_argument("--factors", default=",".join(map(str, FACTORS)), help="values of K")
    parser.add_argument("--out", type=Path, default=Path("bench/working_grid"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    log = args.out / "runs.jsonl"
    done = {(run["pair"], run["grid"]) for run in read_runs(log)}
    names = [name for name in args.pairs.split(",") if name]
    grids = ["finest", *args.factors.split(",")]
    for pair in thick_pairs(args.data, args.out):
        if not names or pair.name in names:
            for grid in grids:
                if (pair.name, grid) not in done:
                    append_run(log, {"pair": pair.name, "grid": grid, **measure(pair, grid)})
    (args.out / "table.md").write_text(markdown(args.out, grids))


def thick_pairs(data: Path, out: Path) -> Iterator[BenchPair]:
    """Yield the pairs with thick slices: those that are made so, and head-and-neck CT."""
    for pair in [*data_pairs(data), *rendered_pairs(data / "anatomy_synthseg", out)]:
        if pair.name in THICK or pair.name.startswith("hn_"):
            yield pair


def measure(pair: BenchPair, grid: str) -> dict[str, float]:
    """Return Dice, regularity, spacing and CPU seconds of a pair on one working grid."""
    fixed, moving = (thick(pair.name, read_volume(file)) for file in (pair.fixed, pair.moving))
    spacing = min(fixed.grid.spacing)
    if grid != "finest":
        volume = torch.tensor(fixed.grid.spacing).prod()
        spacing = max(spacing, float((volume / float(grid)) ** (1 / 3)))
    with mcbo_registrar(spacing=spacing) as registrar, Timer() as timer:
        found = registrar.register(Pair(pair.name, fixed, (moving,)))
    determinant = jacobian_determinant(found.transform, fixed.grid)
    return {
        "dice": dice(pair, found.transform),
        "spacing": spacing,
        "cpu_seconds": timer.cpu_seconds,
        "folding_percent": folding_percent(determinant),
        "sd_log_jacobian": sd_log_jacobian(determinant),
    }


def thick(name: str, volume: Volume) -> Volume:
    """Return a volume averaged to thick slices, if the pair is made so."""
    if name not in THICK:
        return volume
    axis, count = THICK[name]
    shape = list(volume.grid.shape)
    shape[axis] = shape[axis] // count
    kept = volume.data.float().narrow(axis, 0, shape[axis] * count)
    data = kept.unflatten(axis, (shape[axis], count)).mean(axis + 1)
    x, y, z = kept.shape
    return replace(volume, data=data, grid=replace(volume.grid, shape=(x, y, z)).resize(shape))


def dice(pair: BenchPair, transform: Transform) -> float:
    """Return the mean Dice of the labels at their full resolution."""
    assert pair.fixed_labels is not None
    assert pair.moving_labels is not None
    fixed, moving = read_labels(pair.fixed_labels), read_labels(pair.moving_labels)
    warped = warp(moving.data[None], moving.grid, fixed.grid, transform, interpolation="nearest")[0]
    return mean_dice(fixed.data, moving.data, warped)


def markdown(out: Path, grids: list[str]) -> str:
    """Return a table with a row per pair and a column per grid."""
    runs = {(run["pair"], run["grid"]): run for run in read_runs(out / "runs.jsonl")}
    lines = [heading(["pair"], grids)]
    for pair in dict.fromkeys(name for name, _ in runs):
        cells = [
            f"{run['dice']:.3f} ({run['spacing']:.2f} mm, {run['cpu_seconds']:.0f} s)"
            for run in (runs[pair, grid] for grid in grids if (pair, grid) in runs)
        ]
        lines.append(row([pair, *cells]))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
