"""Measures the peak memory of whole registrations: the files memory.json.

    python tools/benchmark_memory.py [--cases mcbo,width=8] [--full] [--out benchmarks/memory]
    python tools/benchmark_memory.py --write

Each run is a `regzoo register` of a phantom in a process of its own, on the CPU, with random
weights where a network needs some; its peak is the largest resident memory that result.json tells.
Runs are appended to OUT/runs.jsonl and a second call goes on where the first one stopped. `--full`
measures the size each model works at, which the small sizes have to foretell. `--write` fits a line
through all runs of each case.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from math import prod
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
MODEL_FILES = {
    "mcbo": ROOT / "bundles" / "mcbo" / "memory.json",
    "gradicon": ROOT / "bundles" / "multigradicon" / "memory.json",
    "unireg": ROOT / "bundles" / "unireg" / "memory.json",
    "images": ROOT / "zoo" / "planning" / "memory.json",
}
"""Where the cases are written to, by the first word of their name."""
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Case:
    """What is run: a model with flags, at small sizes and at the full one, voxels an axis.

    The images have the size that the model works at; MCBO on a coarse grid measures what they take.
    """

    model: str
    flags: tuple[str, ...]
    sizes: tuple[Shape, ...]
    full: Shape
    width: int | None = None


def cubes(*sides: int) -> tuple[Shape, ...]:
    return tuple((side, side, side) for side in sides)


GRADICON = cubes(97, 129, 175)
"""Below, the peak is that of loading the weights."""
REFINEMENTS = {
    "off": ("--refine", "0"),
    "field": ("--refine", "2", "--refine-mode", "field", "--similarity", "lncc2"),
    "weights": ("--refine", "2", "--refine-mode", "weights", "--similarity", "lncc2"),
}
SMALL = cubes(65, 81, 97)
"""For the weights of a network with all their gradients, which take long."""
CASES: dict[str, Case] = {
    f"mcbo mode={mode}": Case("mcbo", ("--set", f"mode={mode}"), sizes, (full, full, full))
    for mode, sizes, full in (
        ("accurate", cubes(64, 96, 128, 192), 256),  # large grids are refined otherwise
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


def write_phantom(shape: Shape, fixed: Path, moving: Path) -> None:
    """Write a pair of CT phantoms of this shape."""
    import torch

    from zoo.io.volume import write_volume
    from zoo.synthesis.phantom import make_pair

    fixed.parent.mkdir()
    spacing = tuple(240 / n for n in shape)
    made = make_pair(1, shape=shape, spacing=spacing, contrasts=("ct", "ct"))
    write_volume(fixed, made.fixed, made.fixed_grid, torch.int16)
    write_volume(moving, made.moving, made.moving_grid, torch.int16)


def write_weights(width: int | None, path: Path) -> None:
    """Write random weights: of GradICON of this width, or of UniReg."""
    import torch
    from safetensors.torch import save_file

    from zoo.networks import GradICON, UniReg

    torch.manual_seed(0)
    network = UniReg() if width is None else GradICON(width=width)
    save_file(network.state_dict(), path)


def apart(function: Callable[..., Any], *given: Any) -> Any:
    """Call a function in a process of its own: a run's peak begins with that of its parent."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *given).result()


def peak_mib(case: Case, shape: Shape, folder: Path) -> int:
    """Run a case on images of a shape and return its peak memory, MiB."""
    place = folder / "x".join(map(str, shape))
    fixed, moving = place / "fixed.nii.gz", place / "moving.nii.gz"
    if not place.exists():
        apart(write_phantom, shape, fixed, moving)
    words = ["register", str(fixed), str(moving), "--model", case.model, "--device", "cpu"]
    words += [*case.flags, "--modality.0", "ct", "--modality.1", "ct"]
    if case.model != "mcbo":
        size = ",".join(map(str, shape))
        weights = folder / f"{case.model}_{case.width}.safetensors"
        if not weights.exists():
            apart(write_weights, case.width, weights)
        words += ["--set", f"size=[{size}]", "--weights", str(weights)]
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "zoo", *words, "--out", out]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")
        peak: int = json.loads((Path(out) / "result.json").read_text())["peak_memory_mib"]
    return peak


def line(points: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Return base and slope (MiB, MiB per million voxels) of the line nearest to the points."""
    slope, base = np.polyfit([v / 1e6 for v, _ in points], [m for _, m in points], 1)
    return float(base), float(slope)


def fitted(case: Case, points: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Return a case's entry in memory.json: the line, raised until no point lies above it.

    `residuals_mib` are those of the line before it was raised; `extrapolated` is what the line
    through the small sizes says of the full one, and what was measured there.
    """
    points = sorted(points)
    base, slope = line(points)
    residuals = [m - (base + slope * v / 1e6) for v, m in points]
    entry: dict[str, Any] = {
        "base_mib": round(base + max(0.0, *residuals), 1),
        "mib_per_megavoxel": round(slope, 1),
        "points": {str(v): m for v, m in points},
        "residuals_mib": [round(r, 1) for r in residuals],
    }
    small, full = [p for p in points if p[0] != prod(case.full)], dict(points).get(prod(case.full))
    if full is not None and len(small) > 2:
        first, step = line(small)
        entry["extrapolated"] = {
            "voxels": prod(case.full),
            "from_small_sizes_mib": round(first + step * prod(case.full) / 1e6),
            "measured_mib": full,
        }
    return entry


def write(runs: Sequence[Mapping[str, Any]]) -> None:
    """Write the lines of all cases that were measured."""
    models = {}
    for name, case in CASES.items():
        points = [(run["voxels"], run["mib"]) for run in runs if run["case"] == name]
        if len(points) > 2:
            models[name] = fitted(case, points)
    how = (
        "peak resident memory of whole `regzoo register` runs on a CPU, one process each, one "
        "thread, by tools/benchmark_memory.py; images of the size that the model works at; "
        "`images`: images of that size, MCBO on 30^3"
    )
    for kind, path in MODEL_FILES.items():
        own = {name: entry for name, entry in models.items() if name.split()[0] == kind}
        path.write_text(json.dumps({"measured": how, "models": own}, indent=1) + "\n")


def read_runs(path: Path) -> list[dict[str, Any]]:
    """Return the runs in a JSON-lines file, none if it is not there."""
    return [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []


def main() -> None:
    """Measure what is missing, or write what was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", default="", help="words that the names hold, with commas")
    parser.add_argument("--full", action="store_true", help="the full size as well")
    parser.add_argument("--write", action="store_true", help="write the files memory.json")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/memory"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    log = given.out / "runs.jsonl"
    if given.write:
        write(read_runs(log))
        return
    chosen = {n: c for n, c in CASES.items() if all(w in n for w in given.cases.split(","))}
    with tempfile.TemporaryDirectory() as folder:
        for name, case in chosen.items():
            for shape in (*case.sizes, *([case.full] if given.full else [])):
                known = {(run["case"], run["voxels"]) for run in read_runs(log)}
                if (name, prod(shape)) in known:
                    continue
                mib = peak_mib(case, shape, Path(folder))
                run = {"case": name, "voxels": prod(shape), "mib": mib}
                with log.open("a") as file:
                    file.write(json.dumps(run) + "\n")
                print(json.dumps(run), flush=True)


if __name__ == "__main__":
    main()
