"""Figures of a registration: overlap, landmark error in mm, regularity, similarity."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.geometry import Transform, folding_percent, jacobian_determinant, sd_log_jacobian, warp
from zoo.workflow.pairs import Pair

Figures = dict[str, float | dict[str, float]]


def figures(pair: Pair, transform: Transform) -> Figures:
    """Return the figures before and after; which ones depends on what the pair comes with."""
    out: Figures = {}
    identity = Transform.identity()
    determinant = jacobian_determinant(transform, pair.fixed.grid)
    out["folding_percent"] = folding_percent(determinant)
    out["sd_log_jacobian"] = sd_log_jacobian(determinant)
    if pair.fixed_labels is not None and pair.moving_labels is not None:
        out["dice_before"] = mean_dice(pair, identity)
        out["dice_after"] = mean_dice(pair, transform)
    if pair.fixed_points is not None and pair.moving_points is not None:
        out["tre_mm_before"] = float((pair.fixed_points - pair.moving_points).norm(dim=1).mean())
        mapped = transform.map_points(pair.fixed_points)
        out["tre_mm_after"] = float((mapped - pair.moving_points).norm(dim=1).mean())
    return out


def mean_dice(pair: Pair, transform: Transform) -> float:
    """Return the mean Dice over the labels that both images have."""
    assert pair.fixed_labels is not None
    assert pair.moving_labels is not None
    scores = dice_per_label(
        pair.fixed_labels.data,
        warp(
            pair.moving_labels.data[None],
            pair.moving_labels.grid,
            pair.fixed_labels.grid,
            transform,
            interpolation="nearest",
        )[0],
    )
    shared = set(pair.moving_labels.data.unique().tolist())
    kept = [score for label, score in scores.items() if label in shared]
    return sum(kept) / len(kept) if kept else float("nan")


def dice_per_label(a: Tensor, b: Tensor) -> dict[int, float]:
    """Return the Dice of each label of `a` but 0 with `b`, both [X, Y, Z] of integers."""
    a, b = a.long(), b.long()
    top = int(max(a.max(), b.max())) + 1
    sizes = torch.bincount(a.flatten(), minlength=top) + torch.bincount(b.flatten(), minlength=top)
    shared = torch.bincount(a[a == b], minlength=top)
    return {
        label: 2 * int(shared[label]) / int(sizes[label])
        for label in a.unique().tolist()
        if label != 0
    }
