"""Does the uncertainty of `regzoo register --uncertainty` rank voxels by their true error?

    PYTHONPATH=tools python -m benchmarks.uncertainty --phantoms 3
    PYTHONPATH=tools python -m benchmarks.uncertainty --phantoms 1 --models unigradicon \\
        --data FOLDER --spacing 4

The deformation of every pair is known: phantoms of 64^3 voxels, and with --data the synthetic
deformation of an abdominal CT, resampled to `--spacing` mm. Over the voxels of the fixed body the
rows of a Markdown table compare a predictor of the error with the error itself:

- Spearman: the rank correlation of predictor and error.
- AUSE: the area between two sparsification curves, that of the predictor and that of the oracle.
  A curve is the mean error of the voxels that remain when the share with the highest values is
  removed, relative to the mean error of all; the oracle removes by the error itself.
- gain: 1 - AUSE / AUSE of a random order. It is 1 for the oracle and 0 for a random order.

The length of the displacement is a second predictor, which costs nothing.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import zoo
from benchmarks.harness.pairs import data_pairs, true_field
from benchmarks.harness.tables import heading, row
from zoo.geometry import Transform, warp
from zoo.handlers.output_files import UNCERTAINTY
from zoo.io.volume import Volume, read_volume
from zoo.measures.body import find_body
from zoo.synthesis.phantom import make_pair

Values = NDArray[np.float64]

PHANTOM_SIZE, PHANTOM_MM = 64, 3.5
STEPS = 100
"""Points of a sparsification curve."""
COLUMNS = ("predictor mm", "error mm", "Spearman", "AUSE", "gain", "CPU s")


@dataclass(frozen=True)
class Case:
    """Two images, the true transform fixed -> moving and what a planner needs to know."""

    name: str
    fixed: Volume
    moving: Volume
    truth: Transform
    facts: dict[str, Any]


def main() -> None:
    """Measure every model on every pair."""
    args = _arguments()
    torch.set_num_threads(args.threads)
    print(heading(["pair", "model", "predictor"], COLUMNS))
    cases = [*phantoms(args.phantoms), *real_cases(args.data, args.pairs, args.spacing)]
    for model in args.models.split(","):
        for case in cases:
            for cells in measure(case, model, args.uncertainty, args.threads):
                print(row([case.name, model, *cells]), flush=True)


def phantoms(count: int) -> Iterator[Case]:
    """Yield phantoms: pairs of one contrast, and every third one of two contrasts."""
    for seed in range(count):
        contrasts = ("t1", "t2" if seed % 3 == 2 else "t1")
        made = make_pair(
            seed, shape=(PHANTOM_SIZE,) * 3, spacing=(PHANTOM_MM,) * 3, contrasts=contrasts
        )
        yield Case(
            f"phantom {seed}, {'-'.join(contrasts)}",
            Volume(made.fixed, made.fixed_grid, Path("fixed.nii")),
            Volume(made.moving, made.moving_grid, Path("moving.nii")),
            made.truth,
            {"modality": ("mr", "mr"), "anatomy": "brain", "pairing": "intra"},
        )


def real_cases(folder: Path | None, names: str, spacing: float) -> Iterator[Case]:
    """Yield the named pairs of a data folder, whose truth is known, at a coarser spacing in mm."""
    if folder is None:
        return
    for pair in data_pairs(folder):
        if pair.name not in names.split(",") or pair.truth is None:
            continue
        fixed, moving = read_volume(pair.fixed), read_volume(pair.moving)
        field = torch.from_numpy(np.ascontiguousarray(true_field(pair))).permute(3, 0, 1, 2)
        truth = Transform(torch.eye(4), field.contiguous(), fixed.grid)
        facts = {"modality": pair.modality, "anatomy": pair.anatomy, "pairing": pair.pairing}
        images = coarser(fixed, spacing), coarser(moving, spacing)
        yield Case(f"{pair.name}, {spacing:g} mm", *images, truth, facts)


def coarser(volume: Volume, spacing: float) -> Volume:
    """Return a volume resampled to about `spacing` mm, smoothed before."""
    from scipy.ndimage import gaussian_filter

    grid = volume.grid.with_spacing([spacing] * 3)
    sigmas = [0.4 * spacing / s for s in volume.grid.spacing]
    smooth = torch.from_numpy(gaussian_filter(volume.data.float().numpy(), sigmas))
    return Volume(warp(smooth[None], volume.grid, grid, Transform.identity())[0], grid, volume.path)


def measure(case: Case, model: str, count: int, threads: int) -> Iterator[list[str]]:
    """Yield the cells of a row for each predictor of the error of one registration."""
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        registered = zoo.register(
            *(_in_memory(volume) for volume in (case.fixed, case.moving)),
            out=folder,
            model=model,
            weights=None if model == "mcbo" else "compact",
            uncertainty=count,
            threads=threads,
            device="cpu",
            **case.facts,
        )
        spread = read_volume(Path(folder) / UNCERTAINTY).data
        found = _displacement(registered.transform, case.fixed)
    seconds = time.process_time() - started
    error = (found - _displacement(case.truth, case.fixed)).norm(dim=0)
    body = find_body(case.fixed.data.float(), case.fixed.grid, 0, "fixed").mask > 0
    for name, predictor in (("uncertainty", spread), ("displacement", found.norm(dim=0))):
        values, errors = (v[body].double().numpy() for v in (predictor, error))
        ranked = ranking(values, errors)
        numbers = (values.mean(), errors.mean(), *ranked)
        yield [name, *(f"{number:.2f}" for number in numbers), f"{seconds:.0f}"]


def ranking(predictor: Values, error: Values) -> tuple[float, float, float]:
    """Return Spearman's correlation, the AUSE and the gain of a predictor of errors, both (n,)."""
    from scipy.stats import spearmanr

    oracle, own = (sparsification(order, error) for order in (error, predictor))
    area = float((own - oracle).mean())
    correlation = float(spearmanr(predictor, error).statistic)
    return correlation, area, 1 - area / float((1 - oracle).mean())


def sparsification(order: Values, error: Values) -> Values:
    """Return the mean error (`STEPS`,) of what remains when 0, 1, ... % of the voxels are removed.

    The voxels with the largest `order` are removed first. The values are relative to the mean error
    of all voxels.
    """
    ascending = error[np.argsort(order, kind="stable")]
    means = np.cumsum(ascending) / np.arange(1, len(ascending) + 1)
    kept = np.ceil(len(ascending) * (1 - np.arange(STEPS) / STEPS)).astype(int)
    curve: Values = means[kept - 1] / means[-1]
    return curve


def _displacement(transform: Transform, fixed: Volume) -> Tensor:
    """Return T(x) - x on the fixed grid: [3, X, Y, Z], RAS+ mm."""
    field = transform.dense_on(fixed.grid).field
    assert field is not None
    return field


def _in_memory(volume: Volume) -> tuple[Any, Any]:
    return volume.data.numpy(), volume.grid.affine.numpy()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--phantoms", type=int, default=3, help="number of phantoms")
    parser.add_argument("--data", type=Path, help="folder with the image pairs")
    parser.add_argument("--pairs", default="abdomen_ct_syn", help="names, comma-separated")
    parser.add_argument("--spacing", type=float, default=4.0, help="of the pairs in --data, mm")
    parser.add_argument("--models", default="mcbo", help="names, comma-separated")
    parser.add_argument("--uncertainty", type=int, default=8, help="number of perturbations")
    parser.add_argument("--threads", type=int, default=1, help="threads")
    return parser.parse_args()


if __name__ == "__main__":
    main()
