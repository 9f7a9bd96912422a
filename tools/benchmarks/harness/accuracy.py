"""Accuracy of a displacement field: Dice, end-point error, folding."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness.pairs import BenchPair, true_field
from zoo.geometry import Transform, warp
from zoo.geometry.jacobian import folding_percent, jacobian_determinant, sd_log_jacobian
from zoo.io.volume import read_volume
from zoo.measures.body import find_body
from zoo.measures.overlap import dice_per_label

MIN_LABEL_VOXELS = 200
"""A label counts if it has more voxels than this in both images."""
RESAMPLES = 2000
"""Bootstrap samples of the structures, from which the interval of the mean Dice is taken."""


def accuracy(pair: BenchPair, field: np.ndarray) -> dict[str, float]:
    """Return the figures of a displacement [X, Y, Z, 3] in RAS+ mm on the fixed grid.

    Folding and the spread of the volume change are counted as in the report, on the whole fixed
    grid, and again in the body. "error" is the mean end-point error in mm where the truth is known,
    else one minus the Dice. "dice_low" and "dice_high" are the limits of the 95 % interval of the
    mean Dice over structures like these.
    """
    fixed = read_volume(pair.fixed)
    grid = fixed.grid
    transform = Transform(torch.eye(4), torch.from_numpy(field).permute(3, 0, 1, 2), grid)
    determinant = jacobian_determinant(transform)
    body = find_body(fixed.data.float(), grid, 0, "fixed").mask > 0
    figures = {
        "folding_percent": folding_percent(determinant),
        "folding_body_percent": folding_percent(determinant, body),
        "sd_log_jacobian": sd_log_jacobian(determinant),
        "sd_log_jacobian_body": sd_log_jacobian(determinant, body),
    }
    if pair.truth is not None:
        distance = np.linalg.norm(field - true_field(pair), axis=-1)
        figures["epe_mm"] = float(distance.mean(dtype=np.float64))
        figures["epe_body_mm"] = float(distance[body.numpy()].mean(dtype=np.float64))
    if pair.fixed_labels is not None and pair.moving_labels is not None:
        labels, moving = read_volume(pair.fixed_labels), read_volume(pair.moving_labels)
        warped = warp(moving.data[None], moving.grid, grid, transform, interpolation="nearest")[0]
        overlaps = dice_of_large(labels.data, moving.data, warped)
        figures["dice"] = float(overlaps.mean())
        figures["dice_low"], figures["dice_high"] = interval_of_mean(overlaps)
    figures["error"] = figures["epe_mm"] if "epe_mm" in figures else 1 - figures["dice"]
    return figures


def interval_of_mean(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the mean of (n) values, by bootstrap with a fixed seed."""
    random = np.random.default_rng(0)
    means = values[random.integers(len(values), size=(RESAMPLES, len(values)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def mean_dice(fixed: Tensor, moving: Tensor, warped: Tensor) -> float:
    """Return the mean Dice of `fixed` and `warped` over the labels that are large in both."""
    return float(dice_of_large(fixed, moving, warped).mean())


def dice_of_large(fixed: Tensor, moving: Tensor, warped: Tensor) -> np.ndarray:
    """Return the Dice of `fixed` and `warped` for every label that is large in both images.

    The size of a label is that in `fixed` and in `moving`, the label map before warping.
    """
    sizes = [_label_sizes(labels) for labels in (fixed, moving)]
    large = [
        label
        for label, size in sizes[0].items()
        if label and min(size, sizes[1].get(label, 0)) > MIN_LABEL_VOXELS
    ]
    overlaps = dice_per_label(fixed, warped, large).values()
    return np.array([overlap for overlap in overlaps if overlap is not None])


def _label_sizes(labels: Tensor) -> dict[int, int]:
    values, counts = labels.unique(return_counts=True)
    return {int(value): int(count) for value, count in zip(values, counts, strict=True)}
