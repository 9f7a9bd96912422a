"""Removal of folds: a displacement is smoothed where its map folds, and nowhere else."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.geometry import Grid, Transform
from zoo.geometry.jacobian import jacobian_determinant
from zoo.losses.filters import gaussian_taps, separable_filter

LEAST_DETERMINANT = 0.01
"""Local volume change below which a voxel is treated as folded."""

_ROUNDS = 60
_MARGIN = 4  # voxels around a fold in which the smoothing fades out
_WIDENING = 1.08  # of the Gaussian, per round
_LARGEST_SIGMA = 8.0


@torch.no_grad()
def unfold(displacement: Tensor) -> tuple[Tensor, float]:
    """Return a displacement [1, 3, X, Y, Z] in voxels without folds, and the share changed.

    A voxel is folded where the determinant of the map by central differences, as it is reported,
    is below `LEAST_DETERMINANT`. Around folds the displacement is blended with a smoothed one until
    none is left; the smoothing is widened while folds stay.
    """
    folded = _folded(displacement)
    box = _surroundings(folded)
    if box is None:
        return displacement, 0.0
    field = displacement.float().clone()
    changed = torch.zeros_like(folded)
    for round_ in range(_ROUNDS):
        sigma = min(_LARGEST_SIGMA, _WIDENING**round_)
        near = _grown(folded[box], _MARGIN)
        weight = torch.maximum(_smoothed(near.float(), 2.0) * near, _grown(folded[box], 1).float())
        part = field[box]
        part += weight * (_smoothed(part, sigma) - part)
        changed[box] |= near
        folded[box] = _folded(part)
        if not folded.any():
            break
        box = _surroundings(folded) or box
    return field, float(changed.float().mean())


def _folded(displacement: Tensor) -> Tensor:
    """Return where the map of a displacement [1, 3, X, Y, Z] in voxels folds: [1, 1, X, Y, Z]."""
    x, y, z = displacement.shape[2:]
    grid = Grid((x, y, z), torch.eye(4, dtype=torch.float64))
    determinant = jacobian_determinant(Transform(torch.eye(4), displacement[0], grid))
    return (determinant < LEAST_DETERMINANT)[None, None]


def _surroundings(folded: Tensor) -> tuple[slice, ...] | None:
    """Return the box around the folded voxels that the filters reach; None without any."""
    margin = _MARGIN + int(3 * _LARGEST_SIGMA)
    box = [slice(None), slice(None)]  # a view of every component
    for axis in (2, 3, 4):
        where = folded.movedim(axis, 0).flatten(1).any(1).nonzero()
        if not len(where):
            return None
        box.append(slice(max(0, int(where.min()) - margin), int(where.max()) + margin + 1))
    return tuple(box)


def _grown(mask: Tensor, voxels: int) -> Tensor:
    """Return a mask [1, 1, X, Y, Z] grown by `voxels` along every axis."""
    grown = mask.float()
    for axis in range(3):
        kernel, padding = [1, 1, 1], [0, 0, 0]
        kernel[axis], padding[axis] = 2 * voxels + 1, voxels
        grown = F.max_pool3d(grown, kernel, stride=1, padding=padding)
    return grown > 0


def _smoothed(volume: Tensor, sigma: float) -> Tensor:
    taps = gaussian_taps(sigma, 2 * max(1, int(3 * sigma)) + 1)
    return separable_filter(volume, [taps] * 3, edge="replicate")
