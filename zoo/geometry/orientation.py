"""Bringing a volume to the axis order of its partner: a permutation and flips, no interpolation."""

import torch
from torch import Tensor

from zoo.geometry.grid import Grid, nearest_axes


def match_axes(data: Tensor, grid: Grid, target: Grid) -> tuple[Tensor, Grid]:
    """Reorder `data` [..., X, Y, Z] on `grid` so that its axes point most nearly as `target`'s do.

    Returns the reordered data and its grid; every voxel keeps its place in the world.
    """
    order, signs = nearest_axes(torch.linalg.inv(target.linear) @ grid.linear * _lengths(target))
    lead = list(range(data.ndim - 3))
    moved = data.permute(*lead, *[data.ndim - 3 + axis for axis in order])
    change = torch.zeros(4, 4, dtype=torch.float64)
    change[3, 3] = 1
    for new, (old, sign) in enumerate(zip(order, signs, strict=True)):
        change[old, new] = sign
        change[old, 3] = 0 if sign > 0 else grid.shape[old] - 1
    flips = [moved.ndim - 3 + axis for axis, sign in enumerate(signs) if sign < 0]
    shape = (grid.shape[order[0]], grid.shape[order[1]], grid.shape[order[2]])
    return moved.flip(flips) if flips else moved, Grid(shape, grid.affine @ change)


def _lengths(grid: Grid) -> Tensor:
    """Return the spacing as a column (3, 1), so that index rows become mm rows."""
    return torch.tensor(grid.spacing, dtype=torch.float64)[:, None]
