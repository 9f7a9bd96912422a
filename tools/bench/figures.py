"""How good a displacement is: Dice, end-point error, folding."""

from __future__ import annotations

import numpy as np
import torch

from bench.pairs import BenchPair, true_field
from zoo.geometry import Transform, warp
from zoo.geometry.jacobian import folding_percent, jacobian_determinant, sd_log_jacobian
from zoo.io.volume import read_volume
from zoo.measures.body import find_body

SMALLEST = 200  # voxels a label must exceed in both images to count


def figures(pair: BenchPair, field: np.ndarray) -> dict[str, float]:
    """Return the figures of a displacement [X, Y, Z, 3] in RAS+ mm on the fixed grid."""
    fixed = read_volume(pair.fixed)
    grid = fixed.grid
    transform = Transform(torch.eye(4), torch.from_numpy(field).permute(3, 0, 1, 2), grid)
    determinant = jacobian_determinant(transform)
    found = {
        "folding_percent": folding_percent(determinant),
        "sd_log_jacobian": sd_log_jacobian(determinant),
    }
    if pair.truth is not None:
        apart = np.linalg.norm(field - true_field(pair), axis=-1)
        found["epe_mm"] = float(apart.mean(dtype=np.float64))
        body = find_body(fixed.data.float(), grid, 0, "fixed").mask.numpy() > 0
        found["epe_body_mm"] = float(apart[body].mean(dtype=np.float64))
    if pair.fixed_labels is not None and pair.moving_labels is not None:
        labels, moving = read_volume(pair.fixed_labels), read_volume(pair.moving_labels)
        warped = warp(moving.data[None], moving.grid, grid, transform, interpolation="nearest")[0]
        found["dice"] = mean_dice(labels.data.numpy(), moving.data.numpy(), warped.numpy())
    found["error"] = found["epe_mm"] if "epe_mm" in found else 1 - found["dice"]
    return found


def mean_dice(fixed: np.ndarray, moving: np.ndarray, warped: np.ndarray) -> float:
    """Return the mean Dice of `fixed` and `warped` over the labels both images show well."""
    sizes = [dict(zip(*np.unique(a, return_counts=True), strict=True)) for a in (fixed, moving)]
    labels = [n for n, size in sizes[0].items() if n and min(size, sizes[1].get(n, 0)) > SMALLEST]
    scores = [_dice(fixed == n, warped == n) for n in labels]
    return float(np.mean(scores))


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())
