"""The mean of the maps from a template to its subjects."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from zoo.atlases.mean_affine import mean_affine
from zoo.geometry import Grid, Transform
from zoo.measures import find_body

MOST_POINTS = 20_000
"""Points of the body that determine the affine part of a map."""


@dataclass
class MapMean:
    """The mean of transforms that map the points of one grid.

    The affine parts have a bi-invariant mean, and the displacements, which are applied before them,
    an arithmetic one. `body` are the points (n, 3), RAS+ mm, that determine the affine part of each
    map, so that the background has no influence.
    """

    grid: Grid
    body: Tensor
    _affines: list[Tensor] = field(default_factory=list)
    _total: Tensor | None = None

    def add(self, transform: Transform) -> Transform:
        """Add a transform; return the same map, separated into its affine part and the rest."""
        separated = separate_affine(transform, self.grid, self.body)
        assert separated.field is not None
        self._affines.append(separated.affine)
        self._total = separated.field if self._total is None else self._total + separated.field
        return separated

    @property
    def count(self) -> int:
        """The number of transforms."""
        return len(self._affines)

    def mean(self) -> Transform:
        """Return the mean map, from the points of the grid to their mean place."""
        assert self._total is not None
        return Transform(mean_affine(self._affines), self._total / self.count, self.grid)


def separate_affine(transform: Transform, grid: Grid, points: Tensor) -> Transform:
    """Return the map as A(x + u(x)), with the affine A that is closest to it at `points` (n, 3).

    The field u is on `grid`. A transform file may hold the whole map as one field, outside of which
    it is the identity; the result continues as A there.
    """
    affine = _closest_affine(points, transform.map_points(points))
    rest = transform.then(Transform(torch.linalg.inv(affine)))
    return Transform(affine, rest.dense_on(grid).field, grid)


def points_of_body(image: Tensor, grid: Grid) -> Tensor:
    """Return points (n, 3), RAS+ mm, spread evenly over the body of an image [X, Y, Z]."""
    spacing = (grid.voxels * float(torch.tensor(grid.spacing).prod()) / MOST_POINTS) ** (1 / 3)
    body = find_body(image, grid, max(spacing, min(grid.spacing)), "fixed")
    return body.grid.to_world(torch.nonzero(body.mask > 0.5))


def _closest_affine(points: Tensor, mapped: Tensor) -> Tensor:
    """Return the affine map, 4x4, with the smallest squared distance between points and images."""
    centre = points.double().mean(dim=0)
    ones = torch.ones(len(points), 1, dtype=torch.float64)
    known = torch.cat([points.double() - centre, ones], dim=1)
    solution = torch.linalg.lstsq(known, mapped.double(), driver="gelsd").solution
    affine = torch.eye(4, dtype=torch.float64)
    affine[:3, :3] = solution[:3].T
    affine[:3, 3] = solution[3] - affine[:3, :3] @ centre
    return affine
