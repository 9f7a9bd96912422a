"""Runs with known figures, for the tests of comparisons and their picture."""

from collections.abc import Iterable

import numpy as np

from zoo.evaluation.runs import Run


def run_of(
    name: str, tre: Iterable[float], dice: Iterable[float] = (), seconds: float | None = None
) -> Run:
    """Return a run with a landmark error per case, and if given a Dice per case and a time."""
    cases = {f"case{k}": {"tre_mm_after": float(v)} for k, v in enumerate(tre)}
    for k, value in enumerate(dice):
        cases[f"case{k}"]["dice_after"] = float(value)
    return Run(name, cases, {case: seconds for case in cases} if seconds else {})


def three_runs() -> list[Run]:
    """Return the runs poor, good and middle, which differ clearly in both figures."""
    random = np.random.default_rng(1)
    hard = random.gamma(4, size=30)
    return [
        run_of("poor", hard + 3, 0.5 + 0.02 * random.normal(size=30), 1.0),
        run_of("good", hard, 0.8 + 0.02 * random.normal(size=30), 20.0),
        run_of("middle", hard + 1.5, 0.65 + 0.02 * random.normal(size=30), 4.0),
    ]
