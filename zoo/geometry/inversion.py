"""The inverse of a transform, and how far it is from being one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.geometry.grid import Grid
from zoo.geometry.sampling import affine_index, sample
from zoo.geometry.transform import Transform, slabs


@dataclass(frozen=True)
class Inverse:
    """A transform moving world -> fixed world, and |T(inverse(y)) - y| over its grid in mm."""

    transform: Transform
    mean_mm: float
    max_mm: float


def invert(
    transform: Transform, grid: Grid, *, tolerance_mm: float = 1e-2, iterations: int = 100
) -> Inverse:
    """Return the inverse of `transform`, its dense part on `grid` (that of the moving image).

    Fixed-point iteration v <- v - step (v + u(w + v)) with w = inv(affine) y. The step of a voxel
    is halved when its residual grows, which keeps strong deformations from oscillating. Beyond its
    grid u repeats its border here, so that a point pushed over the edge finds its way back. Where
    the map folds there is no inverse; the residual tells.
    """
    back = torch.linalg.inv(transform.affine)
    if transform.field is None or transform.grid is None:
        return Inverse(Transform(back), 0.0, 0.0)
    linear = transform.affine[:3, :3].to(transform.device, torch.float32)
    field = torch.empty(3, *grid.shape, device=transform.device)
    total, worst = 0.0, 0.0
    for start, stop in slabs(grid, voxels=1 << 18):
        step, residual = _solve(transform, back, grid, start, stop, tolerance_mm, iterations)
        rows = field[:, start:stop]
        rows[:] = torch.matmul(linear, step.flatten(1)).view_as(rows)
        after = torch.matmul(linear, residual.flatten(1)).norm(dim=0)
        total, worst = total + float(after.double().sum()), max(worst, float(after.max()))
    return Inverse(Transform(back, field, grid), total / grid.voxels, worst)


def _solve(
    transform: Transform,
    back: Tensor,
    grid: Grid,
    start: int,
    stop: int,
    tolerance_mm: float,
    iterations: int,
) -> tuple[Tensor, Tensor]:
    """Return v with v + u(w + v) = 0 on rows of `grid`, and what is left: [3, x, Y, Z] in mm."""
    assert transform.field is not None
    assert transform.grid is not None
    own = transform.grid
    shape = (stop - start, *grid.shape[1:])
    w = affine_index((own.inverse @ back @ grid.affine).to(transform.device), shape, start=start)
    into = own.inverse[:3, :3].to(transform.device, torch.float32)
    field = transform.field[None]

    def residual(v: Tensor) -> Tensor:
        index = w + torch.matmul(into, v.flatten(1)).view_as(w)
        return v + sample(field, index)[0]

    v = torch.zeros_like(w[0])
    left = residual(v)
    size = left.norm(dim=0)
    pace = torch.ones_like(size)
    for _ in range(iterations):
        if float(size.max()) <= tolerance_mm:
            break
        trial = v - pace * left
        new = residual(trial)
        new_size = new.norm(dim=0)
        better = new_size < size
        v = torch.where(better, trial, v)
        left = torch.where(better, new, left)
        size = torch.where(better, new_size, size)
        pace = torch.where(better, (pace * 1.5).clamp_max(1), pace * 0.5)
    return v, left
