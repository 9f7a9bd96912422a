"""MCBO's preset `convexadam`, with the published fault of scale, beside convexAdam from PyPI.

    python tools/benchmark_parity.py --data FOLDER [--pairs abdomen_ct_syn,...]

Both start from the same place and run one after the other; what is printed of each pair is how far
their displacements lie apart, in voxels of the fixed image.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from bench.figures import figures
from bench.methods import convexadam, mcbo
from bench.pairs import BenchPair, data_pairs

from zoo.io.volume import read_volume


def apart(pair: BenchPair) -> str:
    """Return a row of the table of a pair."""
    ours = mcbo(pair, "convexadam", changes={"published": True})
    theirs = convexadam(pair)
    steps = np.linalg.norm((ours - theirs) / min(read_volume(pair.fixed).grid.spacing), axis=-1)
    errors = [figures(pair, field)["error"] for field in (ours, theirs)]
    cells = [f"{steps.mean():.3f}", f"{np.quantile(steps, 0.99):.2f}"]
    cells += [f"{100 * (steps > 0.5).mean():.1f} %", " and ".join(f"{e:.4f}" for e in errors)]
    return f"| {pair.name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pairs", default="", help="names of pairs, with commas; default all")
    given = parser.parse_args()
    wanted = [name for name in given.pairs.split(",") if name]
    print("| pair | mean apart | 99 % below | apart by more than half a voxel | errors |")
    print("|---|---|---|---|---|")
    for pair in data_pairs(given.data):
        if not wanted or pair.name in wanted:
            print(apart(pair), flush=True)


if __name__ == "__main__":
    main()
