"""Numerical inversion of transforms, with the residual error."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.geometry.grid import Grid
from zoo.geometry.sampling import affine_index, inside, sample
from zoo.geometry.transform import Transform, slabs


@dataclass(frozen=True)
class Inverse:
    """The inverse of a transform T, from moving to fixed world points, and its error in mm.

    `mean_mm` and `max_mm` are the mean and the maximum of |T(inverse(y)) - y| over the voxels y of
    the inverse that map into the grid of T. Elsewhere they say nothing: outside its grid T is
    affine, while the inverse continues smoothly across the border.
    """

    transform: Transform
    mean_mm: float
    max_mm: float


def invert(
    transform: Transform, grid: Grid, *, tolerance_mm: float = 1e-2, iterations: int = 100
) -> Inverse:
    """Return the inverse of `transform` as a field on `grid`, the grid of the moving image.

    Each voxel y solves v + u(w + v) = 0, with w = inv(affine) y, by the damped fixed-point
    iteration v <- v - step * (v + u(w + v)) until the residual is below the tolerance. The step of
    a voxel is halved when its residual grows, so that strong deformations do not oscillate. Outside
    its grid, u repeats its border values, so that points displaced beyond the border are found too.
    Where T folds, the inverse is not unique; the residual shows its quality.
    """
    back = torch.linalg.inv(transform.affine)
    if transform.field is None or transform.grid is None:
        return Inverse(Transform(back), 0.0, 0.0)
    linear = transform.affine[:3, :3].to(transform.device, torch.float32)
    start_index = transform.grid.inverse @ back @ grid.affine
    field = torch.empty(3, *grid.shape, device=transform.device)
    total, largest, count = 0.0, 0.0, 0
    to_index = transform.grid.inverse[:3, :3].to(transform.device, torch.float32)
    for start, stop in slabs(grid):
        shape = (stop - start, *grid.shape[1:])
        w = affine_index(start_index, shape, start=start, device=transform.device)[0].flatten(1)
        step, residual = _solve(transform, w, tolerance_mm, iterations)
        field[:, start:stop] = (linear @ step).view(3, *shape)
        index = (w + to_index @ step)[None, :, :, None, None]
        error = (linear @ residual).norm(dim=0)[inside(index, transform.grid.shape).flatten()]
        total, count = total + float(error.cpu().double().sum()), count + len(error)
        largest = max(largest, float(error.max())) if len(error) else largest
    return Inverse(Transform(back, field, grid), total / max(count, 1), largest)


def map_points_back(transform: Transform, points: Tensor) -> tuple[Tensor, float]:
    """Map moving world points (n, 3) to fixed world points (n, 3), RAS+ mm, float64.

    Also returns the largest error in mm: the distance between a point and its image when mapped
    forward again. The equation is solved at the points themselves, without an inverse field.
    """
    back = torch.linalg.inv(transform.affine)
    w = torch.as_tensor(points).cpu().double() @ back[:3, :3].T + back[:3, 3]
    if transform.field is None or transform.grid is None or len(w) == 0:
        return w, 0.0
    index = transform.grid.to_index(w).T.to(transform.device, torch.float32)
    step, _ = _solve(transform, index, tolerance_mm=1e-5, iterations=200)
    mapped = w + step.T.cpu().double()
    # Outside its grid the transform is affine, and the inverse of the affine is exact.
    outside = ~_within(transform.grid, w) & ~_within(transform.grid, mapped)
    mapped[outside] = w[outside]
    error = transform.map_points(mapped) - torch.as_tensor(points).cpu().double()
    return mapped, float(error.norm(dim=1).max())


def _within(grid: Grid, points: Tensor) -> Tensor:
    """Return which of the world points (n, 3), RAS+ mm, are inside a grid: (n,), bool."""
    return inside(grid.to_index(points).T[None, :, :, None, None], grid.shape).flatten()


def _solve(
    transform: Transform, w: Tensor, tolerance_mm: float, iterations: int
) -> tuple[Tensor, Tensor]:
    """Solve v + u(w + v) = 0 and return v and the residuals, both [3, n] in mm.

    `w` [3, n] is in voxel indices of the grid of the transform.
    """
    assert transform.field is not None
    assert transform.grid is not None
    to_index = transform.grid.inverse[:3, :3].to(transform.device, torch.float32)
    field = transform.field[None]

    def residual_of(v: Tensor, which: Tensor | slice) -> Tensor:
        index = w[:, which] + to_index @ v
        return v + sample(field, index[None, :, :, None, None])[0, :, :, 0, 0]

    v = torch.zeros_like(w)
    residual = residual_of(v, slice(None))
    error = residual.norm(dim=0)
    step = torch.ones_like(error)
    for _ in range(iterations):
        active = torch.nonzero(error > tolerance_mm)[:, 0]
        if len(active) == 0:
            break
        trial = v[:, active] - step[active] * residual[:, active]
        trial_residual = residual_of(trial, active)
        trial_error = trial_residual.norm(dim=0)
        better = trial_error < error[active]
        step[active] *= torch.where(better, 1.5, 0.5)
        step.clamp_max_(1)
        improved = active[better]
        v[:, improved] = trial[:, better]
        residual[:, improved] = trial_residual[:, better]
        error[improved] = trial_error[better]
    return v, residual
