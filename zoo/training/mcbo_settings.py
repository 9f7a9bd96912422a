"""The space of MCBO's settings that a search explores: random settings, and small changes of them.

Settings are given as changes of a preset, with the plain values that a JSON file holds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.solvers.settings import PRESETS, Mode

Changes = dict[str, Any]

CASCADES = ((4,), (6,), (8,), (8, 4), (12, 6))
SUMS = ((2, 4, 6), (1, 2, 4, 6), (2, 4), (4, 6), (2, 4, 8))
REACH = (2, 6)
RADII, DILATIONS = (1, 3), (1, 3)
STRENGTH = 8.0  # lambda is drawn between an 8th of its preset's value and 8 times that value


def random_changes(mode: Mode, random: np.random.Generator) -> Changes:
    """Draw the levels, their reach and weights, lambda, and the radius and dilation of MIND."""
    cascade = PRESETS[mode].weights is None
    levels = (CASCADES if cascade else SUMS)[int(random.integers(5))]
    changes: Changes = {
        "levels": list(levels),
        "reach": [int(n) for n in random.integers(REACH[0], REACH[1] + 1, len(levels))],
        "mind_radius": int(random.integers(RADII[0], RADII[1] + 1)),
        "mind_dilation": int(random.integers(DILATIONS[0], DILATIONS[1] + 1)),
    }
    factor = STRENGTH ** random.uniform(-1, 1)
    name = _lambda_setting(mode)
    changes[name] = _scaled(getattr(PRESETS[mode], name), factor)
    if not cascade:
        changes["weights"] = _normalised(random.dirichlet(np.full(len(levels), 4.0)))
    return changes


def perturbed_changes(mode: Mode, changes: Changes, random: np.random.Generator) -> Changes:
    """Return `changes` with one or two settings changed a little."""
    preset = PRESETS[mode]
    perturbed: Changes = dict(changes)

    def current(name: str) -> Any:
        return perturbed.get(name, getattr(preset, name))

    weighted = ["weights"] if preset.weights else []
    names = ["reach", "lambda", "mind_radius", "mind_dilation", *weighted]
    for name in random.choice(names, int(random.integers(1, 3)), replace=False).tolist():
        if name == "reach":
            reach = list(current("reach"))
            level = int(random.integers(len(reach)))
            reach[level] = _one_step(reach[level], REACH, random)
            perturbed["reach"] = reach
        elif name == "lambda":
            setting = _lambda_setting(mode)
            perturbed[setting] = _scaled(current(setting), 2 ** random.uniform(-1, 1))
        elif name == "weights":
            factors = 2 ** random.uniform(-0.5, 0.5, len(current("levels")))
            weights = np.array(current("weights")) * factors
            perturbed["weights"] = _normalised(weights / weights.sum())
        else:
            limits = RADII if name == "mind_radius" else DILATIONS
            perturbed[name] = _one_step(int(current(name)), limits, random)
    return perturbed


def _lambda_setting(mode: Mode) -> str:
    """Return the name of the setting that weighs smoothness in a mode."""
    return "adam_bendings" if any(PRESETS[mode].adam_bendings) else "adam_diffusions"


def _one_step(value: int, limits: tuple[int, int], random: np.random.Generator) -> int:
    """Return `value` plus or minus one, within the limits."""
    return int(np.clip(value + random.choice([-1, 1]), *limits))


def _scaled(values: Any, factor: float) -> list[float]:
    return [round(value * factor, 4) for value in values]


def _normalised(weights: NDArray[np.float64]) -> list[float]:
    """Round weights that sum to one to two digits; they still sum to one."""
    rounded = [round(float(v), 2) for v in weights[:-1]]
    return [*rounded, round(1 - sum(rounded), 2)]
