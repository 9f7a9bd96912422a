"""How well do weights register real pairs in one prediction?

    PYTHONPATH=tools python -m benchmarks.compact_pairs --data FOLDER MODEL=WEIGHTS [...]

WEIGHTS is a weights file, "compact" for those of the package, or "start" for the shared initial
alignment. The pairs are those of the data folder; none of them is trained on. One line per pair is
printed: Dice with its 95 % interval over the structures, or the end-point error in mm (in the
body), and folding. `--anatomy` declares another region than that of the pairs, to see what a wrong
condition of UniReg costs, and `--refine 50` refines the predictions.
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

SHOWN = ("dice", "dice_low", "dice_high", "epe_mm", "epe_body_mm", "folding_percent")


def main() -> None:
    """Print the figures of each pair and weights file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", nargs="+", metavar="MODEL=WEIGHTS")
    parser.add_argument("--data", type=Path, required=True, help="folder with the image pairs")
    parser.add_argument("--pairs", default="", help="names of pairs, comma-separated; default: all")
    parser.add_argument("--anatomy", help="region to declare; default: that of each pair")
    parser.add_argument("--refine", type=int, default=0, help="steps of refinement")
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
                figures = accuracy(pair, _field(pair, name, weights, args.refine))
            except UserError as error:  # unsuitable for the pair
                print(pair.name, choice, error, flush=True)
                continue
            shown = {key: round(figures[key], 4) for key in SHOWN if key in figures}
            print(pair.name, choice, shown, flush=True)


def _field(pair: BenchPair, name: str, weights: str, refine: int) -> np.ndarray:
    """Return the displacement [X, Y, Z, 3] in RAS+ mm on the fixed grid."""
    if weights == "start":
        return affine(pair, shared_start(pair))
    return model(pair, name, weights, refine=refine).field


if __name__ == "__main__":
    main()
