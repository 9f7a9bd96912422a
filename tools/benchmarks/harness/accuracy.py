"""Accuracy of a displacement field: Dice, end-point error, folding."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.harness.pairs import BenchPair, true_field
from zoo.geometry import Transform, warp
from zoo.geometry.jacobian import folding_percent, jacobian_determinant, sd_log_jacobian
from zoo.io.volume import read_volume
from zoo.measures.body import find_body

MIN_LABEL_VOXELS = 200
"""A label counts if it has more voxels than this in both images."""


def accuracy(pair: BenchPair, field: np.ndarray) -> dict[str, float]:
    """Return the figures of a displacement [X, Y, Z, 3] in RAS+ mm on the fixed grid.

    "error" is the mean end-point error in mm where the truth is known, else one minus the Dice.
    """
    fixed = read_volume(pair.fixed)
    grid = fixed.grid
    transform = Transform(torch.eye(4), torch.from_numpy(field).permute(3, 0, 1, 2), grid)
    determinant = jacobian_determinant(transform)
    figures = {
        "folding_percent": folding_percent(determinant),
        "sd_log_jacobian": sd_log_jacobian(determinant),
    }
    if pair.truth is not None:
        distance = np.linalg.norm(field - true_field(pair), axis=-1)
        body = find_body(fixed.data.float(), grid, 0, "fixed").mask.numpy() > 0
        figures["epe_mm"] = float(distance.mean(dtype=np.float64))
        figures["epe_body_mm"] = float(distance[body].mean(dtype=np.float64))
    if pair.fixed_labels is not None and pair.moving_labels is not None:
        labels, moving = read_volume(pair.fixed_labels), read_volume(pair.moving_labels)
        warped = warp(moving.data[None], moving.grid, grid, transform, interpolation="nearest")[0]
        figures["dice"] = mean_dice(labels.data.numpy(), moving.data.numpy(), warped.numpy())
    figures["error"] = figures["epe_mm"] if "epe_mm" in figures else 1 - figures["dice"]
    return figures


def mean_dice(fixed: np.ndarray, moving: np.ndarray, warped: np.ndarray) -> float:
    """Return the mean Dice of `fixed` and `warped` over the labels that are large in both images.

    The sizes are those of the labels in `fixed` and in `moving`, the labels before warping.
    """
    sizes = [dict(zip(*np.unique(a, return_counts=True), strict=True)) for a in (fixed, moving)]
    labels = [
        label
        for label, size in sizes[0].items()
        if label and min(size, sizes[1].get(label, 0)) > MIN_LABEL_VOXELS
    ]
    return float(np.mean([_dice(fixed == label, warped == label) for label in labels]))


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())
