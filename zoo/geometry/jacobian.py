"""Local volume change of a transform, computed in world coordinates for any orientation."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.geometry.grid import Grid
from zoo.geometry.transform import Transform, slabs


def jacobian_determinant(transform: Transform, grid: Grid | None = None) -> Tensor:
    """Return det(dT/dx) at the voxels of `grid`, by default the transform's own: [X, Y, Z].

    The determinant is the ratio of volumes, moving over fixed: 1 preserves volume, 2 doubles it
    from fixed to moving, and a voxel with 0 or less is folded. Derivatives are central differences,
    one-sided at the border.
    """
    grid = grid or transform.grid
    if grid is None:
        raise ValueError("an affine transform has no grid of its own: pass `grid`")
    scale = float(torch.linalg.det(transform.affine[:3, :3]))
    if transform.field is None:
        return torch.full(grid.shape, scale)
    out = torch.empty(grid.shape, device=transform.device)
    for start, stop in slabs(grid):
        first, last = max(start - 1, 0), min(stop + 1, grid.shape[0])
        field = transform.displacement_on(grid, first, last)
        gradient = _differences(field, torch.linalg.inv(grid.linear).to(field))
        out[start:stop] = scale * _determinant(gradient)[start - first : stop - first]
    return out


def folding_percent(determinant: Tensor, mask: Tensor | None = None) -> float:
    """Return the percentage of voxels (in `mask`) whose determinant is 0 or less."""
    values = determinant if mask is None else determinant[mask.bool()]
    return 100.0 * float((values <= 0).cpu().double().mean())


def sd_log_jacobian(determinant: Tensor, mask: Tensor | None = None) -> float:
    """Return the standard deviation of log det(dT/dx) (in `mask`); folds are clamped to 1e-9."""
    values = determinant if mask is None else determinant[mask.bool()]
    return float(values.cpu().double().clamp_min(1e-9).log().std(correction=0))


def _differences(field: Tensor, to_index: Tensor) -> Tensor:
    """Return I + (du/di)(di/dx) of a displacement u [3, X, Y, Z] in mm: [3, 3, X, Y, Z]."""
    steps = torch.zeros(3, *field.shape, dtype=field.dtype, device=field.device)
    for axis, n in enumerate(field.shape[1:], start=1):
        if n > 1:
            steps[axis - 1] = torch.gradient(field, dim=axis)[0]
    gradient = torch.einsum("jkxyz,jl->klxyz", steps, to_index)
    for k in range(3):
        gradient[k, k] += 1
    return gradient


def _determinant(m: Tensor) -> Tensor:
    """Return the determinant of [3, 3, ...]; written out, far faster than `torch.linalg.det`."""
    return (
        m[0, 0] * (m[1, 1] * m[2, 2] - m[1, 2] * m[2, 1])
        - m[0, 1] * (m[1, 0] * m[2, 2] - m[1, 2] * m[2, 0])
        + m[0, 2] * (m[1, 0] * m[2, 1] - m[1, 1] * m[2, 0])
    )
