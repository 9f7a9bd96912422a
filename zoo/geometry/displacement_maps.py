"""Displacements as networks predict them: maps of the unit cube, and conversions to voxels.

Points are [B, 3, x, y, z] in the unit cube: along each axis 0 is the centre of the first voxel and
1 the centre of the last one; component k belongs to array axis k. A map takes points of the fixed
image to points of the moving image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.geometry.sampling import sample

_ROWS_PER_THREAD = 8


class PointMap(Protocol):
    """A function from points of the fixed image to points of the moving image, in the unit cube."""

    def __call__(self, points: Tensor) -> Tensor:
        """Map `points` [B, 3, x, y, z]."""
        ...

    def on_grid(self, shape: Sequence[int]) -> Tensor:
        """Map all voxel centres of a grid of `shape`: a new tensor [B, 3, X, Y, Z]."""
        ...


class DisplacementMap:
    """The map x -> x + u(x) of a displacement field u.

    `displacement` is u: [B, 3, X, Y, Z], in units of the cube, linear between its voxels. Points
    outside the cube get the displacement of the nearest border point.
    """

    def __init__(self, displacement: Tensor) -> None:
        self.displacement = displacement

    def __call__(self, points: Tensor) -> Tensor:
        """Map `points` [B, 3, x, y, z]."""
        return points + _sample(self.displacement, points)

    def on_grid(self, shape: Sequence[int]) -> Tensor:
        """Map all voxel centres of a grid of `shape`: a new tensor [B, 3, X, Y, Z].

        Nothing is interpolated on the grid of the displacement itself. On any other grid the
        interpolation is separable, which is faster than sampling at single points.
        """
        displacement = self.displacement
        if displacement.shape[2:] != tuple(shape):
            displacement = F.interpolate(
                displacement, size=tuple(shape), mode="trilinear", align_corners=True
            )
        x_part, yz_part = _index_parts(shape, displacement)
        last = last_index(shape, displacement)
        return (displacement + x_part / last).add_(yz_part / last)


class Composition:
    """The map x -> outer(inner(x))."""

    def __init__(self, outer: PointMap, inner: PointMap) -> None:
        self.outer = outer
        self.inner = inner

    def __call__(self, points: Tensor) -> Tensor:
        """Map `points` [B, 3, x, y, z]."""
        return self.outer(self.inner(points))

    def on_grid(self, shape: Sequence[int]) -> Tensor:
        """Map all voxel centres of a grid of `shape`: a new tensor [B, 3, X, Y, Z]."""
        points = self.inner.on_grid(shape)
        return _apply_in_slabs(self.outer, points, points)


def sample_unit_cube(image: Tensor, points: Tensor) -> Tensor:
    """Interpolate `image` [B, C, X, Y, Z] linearly at `points` [B, 3, x, y, z] of the unit cube.

    Returns [B, C, x, y, z]. Points outside the cube get the value of the nearest border point.
    """
    shape = (*image.shape[:2], *points.shape[2:])
    return _apply_in_slabs(lambda slab: _sample(image, slab), points, image.new_empty(shape))


def resize_displacement(displacement: Tensor, shape: Sequence[int]) -> Tensor:
    """Resample a displacement [B, 3, x, y, z] in voxels to a grid of `shape`, in its voxels.

    Both grids cover the same field of view, as in `Grid.resize`.
    """
    if displacement.shape[2:] == tuple(shape):
        return displacement
    ratio = [new / old for new, old in zip(shape, displacement.shape[2:], strict=True)]
    scale = torch.tensor(ratio, device=displacement.device).view(3, 1, 1, 1)
    return F.interpolate(
        displacement * scale, size=tuple(shape), mode="trilinear", align_corners=False
    )


def displacement_in_voxels(points: Tensor) -> Tensor:
    """Turn the result of `PointMap.on_grid` into displacements in voxels, in place.

    `points` [B, 3, X, Y, Z] are the mapped voxel centres of a grid, in the unit cube; the tensor is
    overwritten and returned.
    """
    shape = points.shape[2:]
    x_part, yz_part = _index_parts(shape, points)
    return points.mul_(last_index(shape, points)).sub_(x_part).sub_(yz_part)


def unit_grid(shape: Sequence[int], like: Tensor) -> Tensor:
    """Return the voxel centres of a grid as points of the unit cube: [1, 3, X, Y, Z].

    Type and device are those of `like`.
    """
    x_part, yz_part = _index_parts(shape, like)
    return (x_part + yz_part).div_(last_index(shape, like))


def last_index(shape: Sequence[int], like: Tensor) -> Tensor:
    """Return the index of the last voxel along each axis: [1, 3, 1, 1, 1].

    Type and device are those of `like`.
    """
    last = torch.tensor([n - 1 for n in shape], dtype=like.dtype, device=like.device)
    return last.view(1, 3, 1, 1, 1)


def _sample(image: Tensor, points: Tensor) -> Tensor:
    return sample(image, points * last_index(image.shape[2:], points))


def _index_parts(shape: Sequence[int], like: Tensor) -> tuple[Tensor, Tensor]:
    """Return two small tensors whose broadcast sum is the index grid [1, 3, X, Y, Z]."""
    x, y, z = (torch.arange(n, dtype=like.dtype, device=like.device) for n in shape)
    x_part = torch.zeros(1, 3, len(x), 1, 1, dtype=like.dtype, device=like.device)
    yz_part = torch.zeros(1, 3, 1, len(y), len(z), dtype=like.dtype, device=like.device)
    x_part[0, 0, :, 0, 0] = x
    yz_part[0, 1, 0] = y[:, None]
    yz_part[0, 2, 0] = z
    return x_part, yz_part


def _apply_in_slabs(function: Callable[[Tensor], Tensor], points: Tensor, out: Tensor) -> Tensor:
    """Return `function(points)` for a function that treats each point on its own.

    On a CPU without gradients the points are processed slab by slab into `out`, which keeps
    intermediate results in the cache and saves memory. `out` may be `points` itself.
    """
    if torch.is_grad_enabled() or points.device.type != "cpu":
        return function(points)
    rows = _ROWS_PER_THREAD * torch.get_num_threads()
    for start in range(0, points.shape[2], rows):
        count = min(rows, points.shape[2] - start)
        out.narrow(2, start, count).copy_(function(points.narrow(2, start, count)))
    return out
