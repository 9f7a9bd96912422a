"""What do the refinement of MCBO's field and its settings change?

    PYTHONPATH=tools python -m benchmarks.fluid_refinement --data FOLDER --pairs malf_1000_1001

Each pair is aligned and searched once. From this one field every variant starts: the search alone,
the refinement as it is shipped, and the refinement with one thing changed. The rows of a Markdown
table are printed as they are measured; a row has the end-point error in mm where the truth is
known, otherwise the mean Dice. Pairs without a known truth can also be named with `_exchanged`
behind their names, which exchanges fixed and moving image.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from benchmarks.harness.accuracy import accuracy
from benchmarks.harness.pairs import BenchPair, data_pairs
from benchmarks.harness.rendered_pairs import rendered_pairs
from benchmarks.harness.zoo_methods import dense_field
from zoo.datasets.pairs import load_pair, pair_files
from zoo.registration import MCBOInferer, mcbo_frame
from zoo.registration.mcbo import inferer, refined
from zoo.registration.working_pair import WorkingPair
from zoo.solvers import MCBO
from zoo.solvers.fluid import GAIN, GENTLE_GAIN, contrast, refinement, unfold
from zoo.solvers.fluid.refinement import Schedule, Smoothness
from zoo.solvers.fluid.steps import LEAST_VARIANCE

Changes = tuple[tuple[Any, str, Any], ...]
"""Module, name and value of each constant that a variant replaces."""


def _smoothed_by(sigma: float) -> Changes:
    return ((refinement, "smoothness_for", lambda matched, stride: Smoothness(sigma, 0.4)),)


def _scheduled(steps: Mapping[int, int], radius: int) -> Changes:
    return ((refinement, "USUAL", Schedule(steps, radius)),)


VARIANTS: dict[str, Changes | None] = {
    "search alone": None,
    "as shipped": (),
    "steps smoothed by 1.3 voxels": _smoothed_by(1.3),
    "steps smoothed by 2 voxels": _smoothed_by(2.0),
    "steps smoothed by 3 voxels": _smoothed_by(3.0),
    "short steps": ((inferer, "step_gain", lambda images: GENTLE_GAIN),),
    "long steps": ((inferer, "step_gain", lambda images: GAIN),),
    "faint windows count": ((refinement, "FAINT_VARIANCE", LEAST_VARIANCE),),
    "half as many steps again": _scheduled({2: 18, 1: 15}, 2),
    "twice as many steps": _scheduled({2: 24, 1: 20}, 2),
    "windows of 3^3 voxels": _scheduled({2: 12, 1: 10}, 1),
    "windows of 7^3 voxels": _scheduled({2: 12, 1: 10}, 3),
    "also at a quarter": _scheduled({4: 12, 2: 12, 1: 10}, 2),
    "also at a quarter, windows of 7^3 voxels": _scheduled({4: 12, 2: 12, 1: 10}, 3),
    "thorough": _scheduled(refinement.THOROUGH.steps, refinement.THOROUGH.radius),
    "any contrast": ((contrast, "LEAST_MEAN", -1.0), (contrast, "LEAST_LOWEST", -1.0)),
}


def main() -> None:
    """Measure every variant on every pair."""
    args = _arguments()
    torch.set_num_threads(args.threads)
    names = [name for name in args.pairs.split(",") if name]
    variants = [name for name in args.variants.split(",") if name] or list(VARIANTS)
    print("| pair | variant | mm or Dice | folded % | SD of log J | seconds |")
    print("|---|---|---|---|---|---|")
    pairs = data_pairs(args.data, args.necks)
    pairs += rendered_pairs(args.data / "anatomy_synthseg", args.out)
    if names:
        pairs += [exchanged(pair) for pair in pairs if pair.truth is None]
    for pair in pairs:
        if not names or pair.name in names:
            for row in measure(pair, variants):
                print(f"| {pair.name} | {' | '.join(row)} |", flush=True)


def exchanged(pair: BenchPair) -> BenchPair:
    """Return the pair with fixed and moving image exchanged."""
    return replace(
        pair,
        name=f"{pair.name}_exchanged",
        fixed=pair.moving,
        moving=pair.fixed,
        fixed_labels=pair.moving_labels,
        moving_labels=pair.fixed_labels,
        modality=(pair.modality[1], pair.modality[0]),
    )


def measure(pair: BenchPair, variants: Sequence[str]) -> Iterator[list[str]]:
    """Yield the cells of one row for each of the named variants."""
    loaded = load_pair(pair_files(str(pair.fixed), [str(pair.moving)]))
    mcbo = MCBOInferer(mcbo_frame("accurate"), bar=False)
    work = mcbo.prepare(loaded, mcbo.initial_alignment(loaded))
    searched = unfold(MCBO()(work.image, masks=work.masks))[0]
    for name in variants:
        changes = VARIANTS[name]
        started = time.perf_counter()
        found = searched if changes is None else variant(searched, work, changes)
        seconds = time.perf_counter() - started
        figures = accuracy(pair, dense_field(work.transform(found), loaded.fixed))
        quality = figures["epe_mm"] if "epe_mm" in figures else figures["dice"]
        spread = figures["sd_log_jacobian"]
        folded = figures["folding_percent"]
        yield [name, f"{quality:.3f}", f"{folded:.4f}", f"{spread:.2f}", f"{seconds:.0f}"]


def variant(searched: Tensor, work: WorkingPair, changes: Changes) -> Tensor:
    """Return the refined displacement [1, 3, X, Y, Z] with some constants changed."""
    with ExitStack() as stack:
        for module, name, value in changes:
            stack.enter_context(mock.patch.object(module, name, value))
        return refined(searched, work, lambda done, text: None)[0]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with the image pairs")
    parser.add_argument("--pairs", default="", help="names of pairs, comma-separated; default: all")
    help_ = f"names of variants, comma-separated, of: {', '.join(VARIANTS)}; default: all"
    parser.add_argument("--variants", default="", help=help_)
    parser.add_argument("--necks", type=int, default=4, help="pairs of necks, at most 8")
    out = Path("bench/fluid_refinement")
    parser.add_argument("--out", type=Path, default=out, help="folder for the rendered pairs")
    parser.add_argument("--threads", type=int, default=2, help="threads")
    return parser.parse_args()


if __name__ == "__main__":
    main()
