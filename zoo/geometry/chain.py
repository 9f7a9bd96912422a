"""Chains of transforms and inverse transforms, from the fixed to the moving image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.geometry.grid import Grid
from zoo.geometry.inversion import map_points_back
from zoo.geometry.sampling import affine_index
from zoo.geometry.transform import Transform, slabs


@dataclass(frozen=True)
class Link:
    """A transform in a chain, or its inverse."""

    transform: Transform
    inverted: bool = False

    def simplified(self) -> Link:
        """Return the same map; an inverted affine becomes the inverse affine."""
        if not self.inverted or self.transform.field is not None:
            return self
        return Link(Transform(torch.linalg.inv(self.transform.affine)))

    def map_points(self, points: Tensor) -> tuple[Tensor, float]:
        """Map world points (n, 3), RAS+ mm; also return the largest error of an inversion, mm."""
        if self.inverted:
            return map_points_back(self.transform, points)
        return self.transform.map_points(points), 0.0


@dataclass(frozen=True)
class Composed:
    """The composition of a chain, and the largest error of its inversions in mm."""

    transform: Transform
    error_mm: float


def map_along(chain: Sequence[Link], points: Tensor) -> tuple[Tensor, float]:
    """Map points (n, 3), RAS+ mm, through a chain; the first link is applied first.

    Also returns the largest error of the inversions in mm. Every transform is evaluated at the
    points themselves, so nothing is resampled.
    """
    largest = 0.0
    for link in chain:
        points, error = link.map_points(points)
        largest = max(largest, error)
    return points, largest


def map_back_along(chain: Sequence[Link], points: Tensor) -> tuple[Tensor, float]:
    """Map points through the inverse of a chain; the last link is inverted first."""
    return map_along([Link(k.transform, not k.inverted) for k in reversed(chain)], points)


def compose(chain: Sequence[Link], grid: Grid | None = None) -> Composed:
    """Return the composition of a chain; the first link is applied first to fixed points.

    A chain of affine transforms is an affine transform. Otherwise the field of the result is on
    `grid`, by default that of the first link with a field, and is exact at the voxels of `grid`. A
    default exists only if no inverted field comes first.
    """
    links = [link.simplified() for link in chain]
    total, largest = Transform.identity(), 0.0
    for link in links:
        if not link.inverted:
            # An affine before the first field has an exact result on the moved grid of the field.
            total = total.then(link.transform, None if link.transform.field is None else grid)
            continue
        target = grid or total.grid
        if target is None:
            raise ValueError("the composition with an inverted field needs a grid")
        total, error = _then_inverse(total, link, target)
        largest = max(largest, error)
    return Composed(total, largest)


def _then_inverse(first: Transform, link: Link, grid: Grid) -> tuple[Transform, float]:
    """Return x -> inverse(first(x)) as a field on `grid`, and the largest error in mm."""
    field = torch.empty(3, *grid.shape)
    largest = 0.0
    for start, stop in slabs(grid):
        shape = (stop - start, *grid.shape[1:])
        voxels = affine_index(grid.affine, shape, start=start)[0].flatten(1).T.double()
        mapped, error = link.map_points(first.map_points(voxels))
        field[:, start:stop] = (mapped - voxels).T.reshape(3, *shape).float()
        largest = max(largest, error)
    return Transform(torch.eye(4), field, grid), largest
