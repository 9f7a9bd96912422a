"""Random contrasts of a real CT, so that a network sees real texture in more than one contrast."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.synthesis.random_numbers import Random

KNOTS = (-1024, -850, -500, -150, -100, -60, -20, 0, 20, 40, 60, 80, 120, 200, 400, 800, 1600)
"""Hounsfield units at which a random curve has a value of its own; many lie in soft tissue."""
WINDOWS = ((-1000.0, 1000.0), (-150.0, 250.0), (-200.0, 400.0))
"""Ranges of a plain CT, all equally likely."""


def draw_curves(random: Random, contrasts: int) -> Tensor:
    """Draw the values [M, knots] of M contrasts in [0, 1]; the first is a plain CT.

    The others are half monotone, half not; in half of the latter the values of neighbouring knots
    are alike.
    """
    knots = torch.tensor(KNOTS, dtype=torch.float32, device=random.device)
    low, high = WINDOWS[int(random.uniform(0, 1) * len(WINDOWS))]
    curves = [((knots - low) / (high - low)).clamp(0, 1)]
    for _ in range(contrasts - 1):
        values = random.rand(len(KNOTS))
        kind = random.uniform(0, 1)
        if kind < 0.5:
            values = (values**2).cumsum(0)
        elif kind < 0.75:
            values = values.cumsum(0) - 0.5 * torch.arange(len(KNOTS), device=random.device)
        values = (values - values.min()) / (values.max() - values.min()).clamp_min(1e-6)
        if random.uniform(0, 1) < 0.8:
            values[0] = 0  # air is dark in most contrasts
        curves.append(values)
    return torch.stack(curves)


def ct_contrasts(ct: Tensor, curves: Tensor) -> Tensor:
    """Return images [M, X, Y, Z] of a CT in Hounsfield units: `curves` [M, knots], linearly."""
    knots = torch.tensor(KNOTS, dtype=torch.float32, device=ct.device)
    units = ct.float().contiguous().clamp(float(KNOTS[0]), float(KNOTS[-1]))
    low = (torch.bucketize(units, knots, right=True) - 1).clamp_(0, len(KNOTS) - 2)
    share = (units - knots[low]) / (knots[low + 1] - knots[low])
    return torch.stack([torch.lerp(curve[low], curve[low + 1], share) for curve in curves])
