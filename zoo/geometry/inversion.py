"""The inverse of a transform, and how far it is from being one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.geometry.grid import Grid
from zoo.geometry.sampling import affine_index, inside, sample
from zoo.geometry.transform import Transform, slabs


@dataclass(frozen=True)
class Inverse:
    """A transform moving world -> fixed world, and |T(inverse(y)) - y| in mm.

    The mean and the largest are over the voxels y of its grid that come from T's grid. Beyond that
    T moves nothing, while the inverse goes on as at the border, so that it has no jump there.
    """

    transform: Transform
    mean_mm: float
    max_mm: float


def invert(
    transform: Transform, grid: Grid, *, tolerance_mm: float = 1e-2, iterations: int = 100
) -> Inverse:
    """Return the inverse of `transform`, its dense part on `grid` (that of the moving image).

    Fixed-point iteration v <- v - step (v + u(w + v)) with w = inv(affine) y, on the voxels that
    are still further than the tolerance from their goal. The step of a voxel is halved when its
    residual grows, which keeps strong deformations from oscillating. Beyond its
    grid u repeats its border here, so that a point pushed over the edge finds its way back. Where
    the map folds the inverse is one of several; the residual tells how good it is.
    """
    back = torch.linalg.inv(transform.affine)
    if transform.field is None or transform.grid is None:
        return Inverse(Transform(back), 0.0, 0.0)
    linear = transform.affine[:3, :3].to(transform.device, torch.float32)
    start_index = (transform.grid.inverse @ back @ grid.affine).to(transform.device)
    field = torch.empty(3, *grid.shape, device=transform.device)
    total, worst, count = 0.0, 0.0, 0
    into = transform.grid.inverse[:3, :3].to(transform.device, torch.float32)
    for start, stop in slabs(grid):
        shape = (stop - start, *grid.shape[1:])
        w = affine_index(start_index, shape, start=start)[0].flatten(1)
        step, residual = _solve(transform, w, tolerance_mm, iterations)
        field[:, start:stop] = (linear @ step).view(3, *shape)
        index = (w + into @ step)[None, :, :, None, None]
        after = (linear @ residual).norm(dim=0)[inside(index, transform.grid.shape).flatten()]
        total, count = total + float(after.double().sum()), count + len(after)
        worst = max(worst, float(after.max())) if len(after) else worst
    return Inverse(Transform(back, field, grid), total / max(count, 1), worst)


def map_points_back(transform: Transform, points: Tensor) -> tuple[Tensor, float]:
    """Map moving world points (n, 3) to fixed world points (n, 3), RAS+ mm, float64.

    Also returns the largest distance in mm by which a point, mapped forward again, misses. Solved
    at the points themselves: no inverse field is formed.
    """
    back = torch.linalg.inv(transform.affine)
    w = torch.as_tensor(points).double().cpu() @ back[:3, :3].T + back[:3, 3]
    if transform.field is None or transform.grid is None or len(w) == 0:
        return w, 0.0
    index = transform.grid.to_index(w).T.to(transform.device, torch.float32)
    step, _ = _solve(transform, index, tolerance_mm=1e-5, iterations=200)
    found = w + step.T.double().cpu()
    # Beyond its grid the transform is its affine part, whose inverse is exact.
    outside = ~_within(transform.grid, w) & ~_within(transform.grid, found)
    found[outside] = w[outside]
    missed = transform.map_points(found) - torch.as_tensor(points).double().cpu()
    return found, float(missed.norm(dim=1).max())


def _within(grid: Grid, points: Tensor) -> Tensor:
    """Say which of the world points (n, 3) lie in a grid's voxels: (n,), bool."""
    return inside(grid.to_index(points).T[None, :, :, None, None], grid.shape).flatten()


def _solve(
    transform: Transform, w: Tensor, tolerance_mm: float, iterations: int
) -> tuple[Tensor, Tensor]:
    """Return v with v + u(w + v) = 0, and what is left of it: [3, n] in mm.

    `w` [3, n] holds voxel indices of the transform's grid.
    """
    assert transform.field is not None
    assert transform.grid is not None
    into = transform.grid.inverse[:3, :3].to(transform.device, torch.float32)
    field = transform.field[None]

    def residual(v: Tensor, where: Tensor | slice) -> Tensor:
        index = w[:, where] + into @ v
        return v + sample(field, index[None, :, :, None, None])[0, :, :, 0, 0]

    v = torch.zeros_like(w)
    left = residual(v, slice(None))
    size = left.norm(dim=0)
    pace = torch.ones_like(size)
    for _ in range(iterations):
        open_ = torch.nonzero(size > tolerance_mm)[:, 0]
        if len(open_) == 0:
            break
        trial = v[:, open_] - pace[open_] * left[:, open_]
        new = residual(trial, open_)
        new_size = new.norm(dim=0)
        better = new_size < size[open_]
        pace[open_] *= torch.where(better, 1.5, 0.5)
        pace.clamp_max_(1)
        closer = open_[better]
        v[:, closer] = trial[:, better]
        left[:, closer] = new[:, better]
        size[closer] = new_size[better]
    return v, left
