"""MCBO's preset `convexadam`, with the published fault of scale, beside convexAdam from PyPI.

    python tools/benchmark_parity.py --data FOLDER [--pairs abdomen_ct_syn,...] [--rounding]

Both start from the same place and run one after the other; what is printed of each pair is how far
their displacements lie apart, in voxels of the fixed image. `--rounding` tells how far convexAdam
moves from itself with the features of this zoo, and with its own changed at random by a part in
100 000.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench.figures import figures
from bench.methods import convexadam, mcbo
from bench.pairs import BenchPair, data_pairs
from torch import Tensor

from zoo.io.volume import read_volume
from zoo.solvers.mind import mind_features


def apart(pair: BenchPair) -> str:
    """Return a row of the table of a pair."""
    ours = mcbo(pair, "convexadam", changes={"published": True})
    theirs = convexadam(pair)
    steps = distances(pair, ours, theirs)
    errors = [figures(pair, field)["error"] for field in (ours, theirs)]
    cells = [f"{steps.mean():.3f}", f"{np.quantile(steps, 0.99):.2f}"]
    cells += [f"{100 * (steps > 0.5).mean():.1f} %", " and ".join(f"{e:.4f}" for e in errors)]
    return f"| {pair.name} | {' | '.join(cells)} |"


def distances(pair: BenchPair, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return how far two displacements [X, Y, Z, 3] in mm lie apart, in the finest voxel."""
    apart: np.ndarray = np.linalg.norm(one - other, axis=-1)
    return apart / min(read_volume(pair.fixed).grid.spacing)


def by_rounding(pair: BenchPair) -> Iterator[str]:
    """Yield rows of how far convexAdam moves from itself with other features."""
    import convexAdam.convex_adam_MIND as peer

    theirs, own = convexadam(pair), peer.MINDSSC
    random = torch.Generator().manual_seed(0)

    def changed(*given: Any, **more: Any) -> Tensor:
        found: Tensor = own(*given, **more)
        return found * (1 + 1e-5 * torch.randn(found.shape, generator=random))

    def ours(image: Tensor, radius: int, dilation: int, device: object) -> Tensor:
        return mind_features(image, radius, dilation).contiguous()

    for name, features in (("features of the zoo", ours), ("features changed by 1e-5", changed)):
        peer.MINDSSC = features
        steps = distances(pair, convexadam(pair), theirs)
        cells = [f"{steps.mean():.3f}", f"{np.quantile(steps, 0.99):.2f}"]
        cells += [f"{100 * (steps > 0.5).mean():.1f} %", name]
        yield f"| {pair.name} | {' | '.join(cells)} |"
    peer.MINDSSC = own


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pairs", default="", help="names of pairs, with commas; default all")
    parser.add_argument("--rounding", action="store_true", help="convexAdam beside itself")
    given = parser.parse_args()
    wanted = [name for name in given.pairs.split(",") if name]
    print("| pair | mean apart | 99 % below | apart by more than half a voxel | errors |")
    print("|---|---|---|---|---|")
    for pair in data_pairs(given.data):
        if not wanted or pair.name in wanted:
            for row in by_rounding(pair) if given.rounding else [apart(pair)]:
                print(row, flush=True)


if __name__ == "__main__":
    main()
