"""One image in the contrast of another, so that the local correlation can compare two contrasts.

The value of a tissue in the other image follows from its value, but a voxel on the border of two
tissues may have the value of a third one. Its gradient tells the two apart: every pair of a value
and a gradient magnitude is given the mean of the other image in the same voxels.

`zoo.networks.recolour` maps values only, as the weights of the networks were trained with it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.geometry.sampling import identity_index, sample
from zoo.solvers.fluid.steps import LevelImages, TorchSteps

Shown = Literal["moving", "fixed"]
"""The image that is shown in the contrast of the other one."""

VALUES, EDGES = 48, 12
"""Bins of the values, from 0 to 1, and of the gradient magnitudes, from 0 to `STEEPEST`."""
STEEPEST = 1 / 3
"""The gradient magnitude of the last bin, per voxel; steeper edges are counted there."""
_FEW = 20.0
"""Voxels that the mean of the surrounding bins counts for in the mean of a bin."""
_MOST_VOXELS = 500_000
"""Voxels, evenly spread over those that count, from which the means are computed."""


def transferred(images: LevelImages, displacement: Tensor, shown: Shown) -> LevelImages:
    """Return the images with the one that `shown` names in the contrast of the other one.

    `displacement` [1, 3, X, Y, Z] in voxels, pull-back, aligns the images roughly.
    """
    warped, weight = TorchSteps(images).warped(displacement)
    if shown == "fixed":
        features = _features(images.fixed)
        return replace(images, fixed=_mapped(features, _table(features, warped, weight)))
    features = _features(images.moving)
    index = identity_index(images.fixed.shape[2:], device=displacement.device) + displacement
    table = _table(sample(features, index), images.fixed, weight)
    return replace(images, moving=_mapped(features, table))


def _features(image: Tensor) -> Tensor:
    """Return value and gradient magnitude [1, 2, X, Y, Z] of an image in [0, 1], both in [0, 1]."""
    steepness = torch.stack(torch.gradient(image, dim=(2, 3, 4))).norm(dim=0)
    return torch.cat([image, steepness / STEEPEST], 1).clamp(0, 1)


def _table(features: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the mean of `target` [VALUES, EDGES] by the features, of voxels with a weight.

    It is computed on the CPU, where sums in double precision are available and reproducible.
    """
    counted = weight[0, 0] > 0.5
    step = int(counted.sum()) // _MOST_VOXELS + 1
    value, edge, values = (volume[counted][::step].cpu() for volume in (*features[0], target[0, 0]))
    count, total = (_histogram(value, edge, amount) for amount in (torch.ones_like(values), values))
    mean = total.sum() / count.sum().clamp_min(1)
    few = 1e-3
    around = (_blurred(total, 2.0) + few * mean) / (_blurred(count, 2.0) + few)
    count, total = _blurred(count, 0.7), _blurred(total, 0.7)
    return ((total + _FEW * around) / (count + _FEW)).to(target)


def _histogram(value: Tensor, edge: Tensor, amount: Tensor) -> Tensor:
    """Sum `amount` into bins, each shared linearly by the four bins around it: [VALUES, EDGES]."""
    row, down = _bins(value, VALUES)
    column, right = _bins(edge, EDGES)
    out = torch.zeros(VALUES * EDGES, dtype=torch.float64)
    for row_step, row_share in ((0, 1 - down), (1, down)):
        for column_step, column_share in ((0, 1 - right), (1, right)):
            place = (row + row_step) * EDGES + column + column_step
            out.index_add_(0, place, (amount * row_share * column_share).double())
    return out.view(VALUES, EDGES)


def _bins(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the bin below each value in [0, 1], and the distance from it in bins."""
    position = values * (count - 1)
    low = position.floor().clamp(max=count - 2)
    return low.long(), position - low


def _blurred(histogram: Tensor, sigma: float) -> Tensor:
    """Return a histogram, smoothed by a Gaussian of `sigma` bins along both axes."""
    offsets = torch.arange(-6, 7, dtype=histogram.dtype)
    taps = torch.exp(-((offsets / sigma) ** 2) / 2)
    taps /= taps.sum()
    smooth = F.conv2d(histogram[None, None], taps.view(1, 1, -1, 1), padding=(6, 0))
    return F.conv2d(smooth, taps.view(1, 1, 1, -1), padding=(0, 6))[0, 0]


def _mapped(features: Tensor, table: Tensor) -> Tensor:
    """Return the value [1, 1, X, Y, Z] of the table at the features of each voxel, linearly."""
    value, edge = features[0].flatten(1)
    places = torch.stack([edge, value], -1)[None, None] * 2 - 1
    mapped = F.grid_sample(table[None, None], places, align_corners=True)
    return mapped.view(1, 1, *features.shape[2:])
