"""Removal of folds: a displacement is smoothed where its map folds, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.geometry import Grid, Transform
from zoo.geometry.jacobian import jacobian_determinant
from zoo.losses.filters import gaussian_taps, separable_filter

LEAST_DETERMINANT = 0.01
"""Local volume change below which a voxel is treated as folded."""

_ROUNDS = 100
_WIDENING = 1.03  # of the Gaussian, per round
_LARGEST_SIGMA = 3.0  # a wider one would fold the map beside the part that it smooths
_TILE = 32  # voxels per side of the parts that are treated one after another


Box = tuple[slice, ...]
"""A part of a volume [1, C, X, Y, Z], as slices of its five axes."""


@torch.no_grad()
def unfold(displacement: Tensor) -> tuple[Tensor, float]:
    """Return a displacement [1, 3, X, Y, Z] in voxels without folds, and the share changed.

    A voxel is folded where the determinant of the map by central differences, as it is reported,
    is below `LEAST_DETERMINANT`. Around folds the displacement is blended with a smoothed one until
    none is left.
    """
    folded = _folded(displacement)
    if not folded.any():
        return displacement, 0.0
    field = displacement.float().clone()
    changed = torch.zeros_like(folded)
    for round_ in range(_ROUNDS):
        sigma = min(_LARGEST_SIGMA, _WIDENING**round_)
        for tile, box in _tiles_with(folded, _margin(sigma) + int(3 * sigma)):
            part = field[box]
            # Folds beside the tile wait for their own turn: changes stay away from the faces of the
            # box, where the smoothing lacks neighbours and determinants are not computed.
            own = torch.zeros_like(folded[box])
            own[_within(tile, box)] = folded[tile]
            near = _grown(own, _margin(sigma))
            weight = _smoothed(near.float(), 1 + sigma / 2) * near
            weight = torch.maximum(weight, _grown(own, 1).float())
            part += weight * (_smoothed(part, sigma) - part)
            changed[box] |= near
            inner = _inner(box, folded.shape[2:])
            folded[box][inner] = _folded(part)[inner]
        if not folded.any():
            break
    return field, float(changed.float().mean())


def _margin(sigma: float) -> int:
    """Return the distance from a fold, in voxels, in which its smoothing fades out."""
    return 2 + round(2 * sigma)


def _tiles_with(folded: Tensor, margin: int) -> Iterator[tuple[Box, Box]]:
    """Yield each tile with folded voxels, alone and with `margin` more voxels around it."""
    shape = folded.shape[2:]
    for corner in product(*(range(0, n, _TILE) for n in shape)):
        x, y, z = (slice(c, c + _TILE) for c in corner)
        if folded[:, :, x, y, z].any():
            around = (slice(max(0, c - margin), c + _TILE + margin) for c in corner)
            yield (slice(None), slice(None), x, y, z), (slice(None), slice(None), *around)


def _within(tile: Box, box: Box) -> Box:
    """Return a tile in the coordinates of the box around it."""
    starts = [outer.start for outer in box[2:]]
    sides = (slice(t.start - s, t.stop - s) for t, s in zip(tile[2:], starts, strict=True))
    return (slice(None), slice(None), *sides)


def _inner(box: Box, shape: Sequence[int]) -> Box:
    """Return the part of a box whose neighbours it contains: all but its cut faces, as slices."""
    inner = [slice(None), slice(None)]
    for side, n in zip(box[2:], shape, strict=True):
        inner.append(slice(0 if side.start == 0 else 1, None if side.stop >= n else -1))
    return tuple(inner)


def _folded(displacement: Tensor) -> Tensor:
    """Return where the map of a displacement [1, 3, X, Y, Z] in voxels folds: [1, 1, X, Y, Z]."""
    x, y, z = displacement.shape[2:]
    grid = Grid((x, y, z), torch.eye(4, dtype=torch.float64))
    determinant = jacobian_determinant(Transform(torch.eye(4), displacement[0], grid))
    return (determinant < LEAST_DETERMINANT)[None, None]


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
