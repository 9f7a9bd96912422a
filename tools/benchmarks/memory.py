"""How much memory does a whole registration need? Writes the files memory.json.

    PYTHONPATH=tools python -m benchmarks.memory [--cases mcbo,width=8] [--full]
    PYTHONPATH=tools python -m benchmarks.memory --write

Each run is a `regzoo register` of a phantom in a process of its own, on the CPU, with random
weights where a network needs some. Its peak is the largest resident memory that result.json
reports. Runs are appended to OUT/runs.jsonl; run the same command again to resume. `--full` also
measures the size at which each model works, which the small sizes have to predict. `--write` fits a
line through all runs of each case.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.processes import ROOT, call, run_regzoo
from benchmarks.harness.runs import append_run, read_runs

MODEL_FILES = {
    "mcbo": ROOT / "bundles" / "mcbo" / "memory.json",
    "gradicon": ROOT / "bundles" / "multigradicon" / "memory.json",
    "unireg": ROOT / "bundles" / "unireg" / "memory.json",
    "images": ROOT / "zoo" / "planning" / "memory.json",
}
"""The file of each case, by the first word of its name."""
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Case:
    """A model with flags, at small sizes and at its full size, in voxels along each axis.

    The images have the size at which the model works. The case "images" runs MCBO on a coarse grid,
    so that its memory is mostly that of the images.
    """

    model: str
    flags: tuple[str, ...]
    sizes: tuple[Shape, ...]
    full: Shape
    width: int | None = None


def cubes(*sides: int) -> tuple[Shape, ...]:
    """Return cubic shapes."""
    return tuple((side, side, side) for side in sides)


GRADICON = cubes(97, 129, 175)
"""Below these sizes, loading the weights determines the peak."""
REFINEMENTS = {
    "off": ("--refine", "0"),
    "field": ("--refine", "2", "--refine-mode", "field", "--similarity", "lncc2"),
    "weights": ("--refine", "2", "--refine-mode", "weights", "--similarity", "lncc2"),
}
SMALL = cubes(65, 81, 97)
"""Sizes for the refinement of weights, which is slow."""
CASES: dict[str, Case] = {
    f"mcbo mode={mode}": Case("mcbo", ("--set", f"mode={mode}"), sizes, (full, full, full))
    for mode, sizes, full in (
        ("accurate", cubes(64, 96, 128, 192), 256),  # large grids are refined in another way
        ("paper", cubes(48, 64, 80), 192),
        ("convexadam", cubes(64, 96, 128), 192),
    )
}
CASES |= {
    f"gradicon width={width} refine={refine} precision={precision}": Case(
        "multigradicon",
        (*flags, "--precision", precision),
        SMALL if refine == "weights" else GRADICON,
        (175, 175, 175),
        width,
    )
    for width, (refine, flags), precision in product(
        (16, 8), REFINEMENTS.items(), ("float32", "bfloat16")
    )
}
CASES |= {
    f"unireg refine={refine}": Case(
        "unireg",
        ("--refine", steps, "--anatomy", "abdomen", "--pairing", "inter"),
        ((64, 64, 48), (96, 96, 80), (128, 128, 96)),
        (192, 192, 160),
    )
    for refine, steps in (("off", "0"), ("field", "2"))
}
CASES["images"] = Case("mcbo", ("--set", "spacing=8"), cubes(96, 128, 176), (256, 256, 256))


def main() -> None:
    """Measure the missing runs, or write the measured memory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--cases", default="", help="words that the name of a case must contain, comma-separated"
    )
    parser.add_argument("--full", action="store_true", help="also measure the full size")
    parser.add_argument("--write", action="store_true", help="write the files memory.json")
    parser.add_argument("--out", type=Path, default=Path("bench/memory"), help="output folder")
    args = parser.parse_args()
    log = args.out / "runs.jsonl"
    if args.write:
        write_model(read_runs(log))
        return
    words = args.cases.split(",")
    with tempfile.TemporaryDirectory() as folder:
        for name, case in CASES.items():
            if all(word in name for word in words):
                shapes = (*case.sizes, *([case.full] if args.full else []))
                measure_case(name, case, shapes, log, Path(folder))


def measure_case(name: str, case: Case, shapes: Sequence[Shape], log: Path, folder: Path) -> None:
    """Append the runs of a case that are missing in the log."""
    recorded = {(run["case"], run["voxels"]) for run in read_runs(log)}
    for shape in shapes:
        if (name, prod(shape)) not in recorded:
            mib = registration_peak_mib(case, shape, folder)
            append_run(log, {"case": name, "voxels": prod(shape), "mib": mib})


def registration_peak_mib(case: Case, shape: Shape, folder: Path) -> int:
    """Register a phantom of this shape and return the peak memory in MiB.

    Phantoms and weights are written by processes of their own, since the peak that a run reports
    includes that of its parent, and kept in `folder`.
    """
    images = folder / "x".join(map(str, shape))
    fixed, moving = images / "fixed.nii.gz", images / "moving.nii.gz"
    if not images.exists():
        files = {"shape": shape, "fixed": str(fixed), "moving": str(moving)}
        call("benchmarks.memory:write_phantom", files, threads=1)
    words = ["register", str(fixed), str(moving), "--model", case.model, "--device", "cpu"]
    words += [*case.flags, "--modality.0", "ct", "--modality.1", "ct"]
    if case.model != "mcbo":
        weights = folder / f"{case.model}_{case.width}.safetensors"
        if not weights.exists():
            file = {"width": case.width, "path": str(weights)}
            call("benchmarks.memory:write_weights", file, threads=1)
        size = ",".join(map(str, shape))
        words += ["--set", f"size=[{size}]", "--weights", str(weights)]
    with tempfile.TemporaryDirectory() as out:
        run_regzoo([*words, "--out", out])
        peak: int = json.loads((Path(out) / "result.json").read_text())["peak_memory_mib"]
    return peak


def write_phantom(shape: Shape, fixed: str, moving: str) -> None:
    """Write a pair of CT phantoms of this shape."""
    import torch

    from zoo.io.volume import write_volume
    from zoo.synthesis.phantom import make_pair

    Path(fixed).parent.mkdir()
    spacing = tuple(240 / n for n in shape)
    pair = make_pair(1, shape=shape, spacing=spacing, contrasts=("ct", "ct"))
    write_volume(Path(fixed), pair.fixed, pair.fixed_grid, torch.int16)
    write_volume(Path(moving), pair.moving, pair.moving_grid, torch.int16)


def write_weights(width: int | None, path: str) -> None:
    """Write random weights of GradICON with this width, or of UniReg if it is None."""
    import torch
    from safetensors.torch import save_file

    from zoo.networks import GradICON, UniReg

    torch.manual_seed(0)
    network = UniReg() if width is None else GradICON(width=width)
    save_file(network.state_dict(), path)


def fit_line(points: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Return base (MiB) and slope (MiB per million voxels) of the least-squares line.

    A point is a number of voxels and a peak in MiB.
    """
    slope, base = np.polyfit([v / 1e6 for v, _ in points], [m for _, m in points], 1)
    return float(base), float(slope)


def memory_entry(case: Case, points: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Return the entry of a case in memory.json: its line, raised until no point lies above it.

    "residuals_mib" are those of the line before it was raised. "extrapolated" compares what the
    line through the small sizes predicts for the full size with the measurement there.
    """
    points = sorted(points)
    base, slope = fit_line(points)
    residuals = [m - (base + slope * v / 1e6) for v, m in points]
    entry: dict[str, Any] = {
        "base_mib": round(base + max(0.0, *residuals), 1),
        "mib_per_megavoxel": round(slope, 1),
        "points": {str(v): m for v, m in points},
        "residuals_mib": [round(r, 1) for r in residuals],
    }
    small, full = [p for p in points if p[0] != prod(case.full)], dict(points).get(prod(case.full))
    if full is not None and len(small) > 2:
        first, step = fit_line(small)
        entry["extrapolated"] = {
            "voxels": prod(case.full),
            "from_small_sizes_mib": round(first + step * prod(case.full) / 1e6),
            "measured_mib": full,
        }
    return entry


def write_model(runs: Sequence[Mapping[str, Any]]) -> None:
    """Write the entries of all cases with at least three runs."""
    models = {}
    for name, case in CASES.items():
        points = [(run["voxels"], run["mib"]) for run in runs if run["case"] == name]
        if len(points) > 2:
            models[name] = memory_entry(case, points)
    method = (
        "peak resident memory of whole `regzoo register` runs on a CPU, one process each, one "
        "thread, by tools/benchmarks/memory.py; images of the size at which the model works; "
        "`images`: images of that size, MCBO on 30^3"
    )
    for kind, path in MODEL_FILES.items():
        own = {name: entry for name, entry in models.items() if name.split()[0] == kind}
        path.write_text(json.dumps({"measured": method, "models": own}, indent=1) + "\n")


if __name__ == "__main__":
    main()
