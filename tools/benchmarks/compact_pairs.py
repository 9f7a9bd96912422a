"""How well do weights register real pairs in one prediction, without refinement?

    PYTHONPATH=tools python -m benchmarks.compact_pairs --data FOLDER MODEL=WEIGHTS [...]

WEIGHTS is a weights file, "compact" for those of the package, or "start" for the shared initial
alignment. The pairs are those of the data folder; none of them is trained on. One line per pair is
printed: Dice or the end-point error in mm (in the body), and folding. `--anatomy` declares another
region than that of the pairs, to see what a wrong condition of UniReg costs.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.harness.accuracy import accuracy
from benchmarks.harness.pairs import BenchPair, data_pairs
from benchmarks.harness.zoo_methods import affine, model, shared_start
from zoo.errors import UserError

SHOWN = ("dice", "epe_mm", "epe_body_mm", "folding_percent")


def main() -> None:
    """Print the figures of each pair and weights file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", nargs="+", metavar="MODEL=WEIGHTS")
    parser.add_argument("--data", type=Path, required=True, help="folder with the image pairs")
    parser.add_argument("--pairs", default="", help="names of pairs, comma-separated; default: all")
    parser.add_argument("--anatomy", help="region to declare; default: that of each pair")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    pairs = data_pairs(args.data)
    names = [name for name in args.pairs.split(",") if name]
    for pair in pairs:
        if names and pair.name not in names:
            continue
        pair = replace(pair, anatomy=args.anatomy or pair.anatomy)
        for choice in args.weights:
            name, _, weights = choice.partition("=")
            try:
                figures = accuracy(pair, _field(pair, name, weights))
            except UserError as error:  # unsuitable for the pair
                print(pair.name, choice, error, flush=True)
                continue
            shown = {key: round(figures[key], 4) for key in SHOWN if key in figures}
            print(pair.name, choice, shown, flush=True)


def _field(pair: BenchPair, name: str, weights: str) -> np.ndarray:
    """Return the displacement [X, Y, Z, 3] in RAS+ mm on the fixed grid."""
    if weights == "start":
        return affine(pair, shared_start(pair))
    return model(pair, name, weights, refine=0).field


if __name__ == "__main__":
    main()
