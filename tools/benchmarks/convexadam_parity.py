"""How close is MCBO's preset `convexadam` to convexAdam from PyPI?

    PYTHONPATH=tools python -m benchmarks.convexadam_parity --data FOLDER [--pairs NAME,...]

The preset runs with the scaling error of the published implementation. Both programs start from the
same initial alignment, one after the other. The table shows the distance between their
displacements, in voxels of the fixed image. `--rounding` shows instead how far convexAdam moves
from its own result with the features of this zoo, and with its own features changed at random by a
hundred-thousandth.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness.accuracy import accuracy
from benchmarks.harness.pairs import BenchPair, data_pairs
from benchmarks.harness.peer_methods import convexadam
from benchmarks.harness.tables import heading, row
from benchmarks.harness.zoo_methods import mcbo
from zoo.io.volume import read_volume
from zoo.solvers.mind import mind_features


def main() -> None:
    """Print one row per pair, or two with `--rounding`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with the image pairs")
    parser.add_argument("--pairs", default="", help="names of pairs, comma-separated; default: all")
    parser.add_argument("--rounding", action="store_true", help="compare convexAdam with itself")
    args = parser.parse_args()
    names = [name for name in args.pairs.split(",") if name]
    last = "features" if args.rounding else "errors of MCBO and convexAdam"
    columns = ["mean distance", "99th percentile", "more than half a voxel apart", last]
    print(heading(["pair"], columns))
    for pair in data_pairs(args.data):
        if not names or pair.name in names:
            for line in rounding_rows(pair) if args.rounding else [comparison_row(pair)]:
                print(line, flush=True)


def comparison_row(pair: BenchPair) -> str:
    """Return the row that compares MCBO with convexAdam on a pair."""
    ours = mcbo(pair, "convexadam", changes={"published": True})
    theirs = convexadam(pair)
    errors = [accuracy(pair, field)["error"] for field in (ours, theirs)]
    return _row(pair, distances(pair, ours, theirs), " and ".join(f"{e:.4f}" for e in errors))


def rounding_rows(pair: BenchPair) -> Iterator[str]:
    """Yield rows that compare convexAdam with itself, computed from other features."""
    import convexAdam.convex_adam_MIND as peer

    theirs, own_features = convexadam(pair), peer.MINDSSC
    generator = torch.Generator().manual_seed(0)

    def perturbed(*args: Any, **kwargs: Any) -> Tensor:
        features: Tensor = own_features(*args, **kwargs)
        return features * (1 + 1e-5 * torch.randn(features.shape, generator=generator))

    def ours(image: Tensor, radius: int, dilation: int, device: object) -> Tensor:
        return mind_features(image, radius, dilation).contiguous()

    for name, features in (("those of the zoo", ours), ("its own, changed by 1e-5", perturbed)):
        peer.MINDSSC = features
        yield _row(pair, distances(pair, convexadam(pair), theirs), name)
    peer.MINDSSC = own_features


def distances(pair: BenchPair, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the distance of two displacements [X, Y, Z, 3] in mm, in the smallest voxel side."""
    distance: np.ndarray = np.linalg.norm(first - second, axis=-1)
    return distance / min(read_volume(pair.fixed).grid.spacing)


def _row(pair: BenchPair, steps: np.ndarray, last: str) -> str:
    cells = [f"{steps.mean():.3f}", f"{np.quantile(steps, 0.99):.2f}"]
    return row([pair.name, *cells, f"{100 * (steps > 0.5).mean():.1f} %", last])


if __name__ == "__main__":
    main()
