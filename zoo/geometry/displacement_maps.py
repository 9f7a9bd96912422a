"""Maps of the unit cube into itself: what a registration network gives, as functions of points.

Points are [B, 3, x, y, z] in the unit cube: 0 is the centre of the first voxel and 1 that of the
last along an axis, component k along array axis k. A map takes points of the fixed image to points
of the moving image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.geometry.sampling import sample

_ROWS_A_THREAD = 8


class Map(Protocol):
    """A function of points that can also be asked on a whole grid."""

    def __call__(self, points: Tensor) -> Tensor:
        """Return where `points` [B, 3, x, y, z] go, unit cube to unit cube."""
        ...

    def on_grid(self, shape: Sequence[int]) -> Tensor:
        """Return where the voxels of a grid of `shape` go: a new tensor [B, 3, X, Y, Z]."""
        ...


class DisplacementMap:
    """x -> x + u(x), with u [B, 3, X, Y, Z] in unit cubes, linear between its voxels.

    Beyond the border the outermost displacement is repeated.
    """

    def __init__(self, displacement: Tensor) -> None:
        self.displacement = displacement

    def __call__(self, points: Tensor) -> Tensor:
        """Return where `points` [B, 3, x, y, z] go, unit cube to unit cube."""
        return points + _read(self.displacement, points)

    def on_grid(self, shape: Sequence[int]) -> Tensor:
        """Return where the voxels of a grid of `shape` go: a new tensor [B, 3, X, Y, Z].

        On the map's own grid nothing is interpolated; another grid's voxels lie in rows, so that
        the interpolation is separable.
        """
        displacement = self.displacement
        if displacement.shape[2:] != tuple(shape):
            displacement = F.interpolate(
                displacement, size=tuple(shape), mode="trilinear", align_corners=True
            )
        along_x, across = _grid_parts(shape, displacement)
        last = last_index(shape, displacement)
        return (displacement + along_x / last).add_(across / last)


class Composition:
    """x -> outer(inner(x))."""

    def __init__(self, outer: Map, inner: Map) -> None:
        self.outer = outer
        self.inner = inner

    def __call__(self, points: Tensor) -> Tensor:
        """Return where `points` [B, 3, x, y, z] go, unit cube to unit cube."""
        return self.outer(self.inner(points))

    def on_grid(self, shape: Sequence[int]) -> Tensor:
        """Return where the voxels of a grid of `shape` go: a new tensor [B, 3, X, Y, Z]."""
        points = self.inner.on_grid(shape)
        return _by_slabs(self.outer, points, points)


def warp(image: Tensor, points: Tensor) -> Tensor:
    """Read `image` [B, C, X, Y, Z] at `points` [B, 3, x, y, z]: unit cube, border repeated."""
    shape = (*image.shape[:2], *points.shape[2:])
    return _by_slabs(lambda slab: _read(image, slab), points, image.new_empty(shape))


def on_lattice(flow: Tensor, shape: Sequence[int]) -> Tensor:
    """Carry a displacement [B, 3, x, y, z] in voxels to a lattice of `shape`, the same view."""
    if flow.shape[2:] == tuple(shape):
        return flow
    ratio = [n / m for n, m in zip(shape, flow.shape[2:], strict=True)]
    flow = flow * torch.tensor(ratio, device=flow.device).view(3, 1, 1, 1)
    return F.interpolate(flow, size=tuple(shape), mode="trilinear", align_corners=False)


def displacement_in_voxels(points: Tensor) -> Tensor:
    """Return how far each voxel goes, in voxels, from where it goes; overwrites `points`.

    `points` [B, 3, X, Y, Z] are in the unit cube, as `Map.on_grid` gives them.
    """
    shape = points.shape[2:]
    along_x, across = _grid_parts(shape, points)
    return points.mul_(last_index(shape, points)).sub_(along_x).sub_(across)


def unit_grid(shape: Sequence[int], like: Tensor) -> Tensor:
    """Return the voxels of a grid as points of the unit cube: [1, 3, X, Y, Z], as `like`."""
    along_x, across = _grid_parts(shape, like)
    return (along_x + across).div_(last_index(shape, like))


def last_index(shape: Sequence[int], like: Tensor) -> Tensor:
    """Return the index of the last voxel along each axis: [1, 3, 1, 1, 1], as `like`."""
    last = torch.tensor([n - 1 for n in shape], dtype=like.dtype, device=like.device)
    return last.view(1, 3, 1, 1, 1)


def _read(image: Tensor, points: Tensor) -> Tensor:
    return sample(image, points * last_index(image.shape[2:], points))


def _grid_parts(shape: Sequence[int], like: Tensor) -> tuple[Tensor, Tensor]:
    """Return two tensors whose broadcast sum is the index grid [1, 3, X, Y, Z]."""
    x, y, z = (torch.arange(n, dtype=like.dtype, device=like.device) for n in shape)
    along_x = torch.zeros(1, 3, len(x), 1, 1, dtype=like.dtype, device=like.device)
    across = torch.zeros(1, 3, 1, len(y), len(z), dtype=like.dtype, device=like.device)
    along_x[0, 0, :, 0, 0] = x
    across[0, 1, 0] = y[:, None]
    across[0, 2, 0] = z
    return along_x, across


def _by_slabs(function: Callable[[Tensor], Tensor], points: Tensor, out: Tensor) -> Tensor:
    """Return function(points), for a function of single points; may overwrite `out`.

    On the CPU and without gradients it goes slab by slab, so that what lies between stays in the
    cache and takes no memory.
    """
    if torch.is_grad_enabled() or points.device.type != "cpu":
        return function(points)
    rows = _ROWS_A_THREAD * torch.get_num_threads()
    for start in range(0, points.shape[2], rows):
        count = min(rows, points.shape[2] - start)
        out.narrow(2, start, count).copy_(function(points.narrow(2, start, count)))
    return out
