"""Reordering the axes of a volume to match another grid: permutation and flips only."""

import torch
from torch import Tensor

from zoo.geometry.grid import Grid, nearest_axes


def match_axes(data: Tensor, grid: Grid, target: Grid) -> tuple[Tensor, Grid]:
    """Permute and flip `data` [..., X, Y, Z] on `grid` so that its axes follow those of `target`.

    Returns the reordered data and its grid. Every voxel keeps its world position; nothing is
    interpolated.
    """
    order, signs = nearest_axes(torch.linalg.inv(target.linear) @ grid.linear * _lengths(target))
    leading = list(range(data.ndim - 3))
    reordered = data.permute(*leading, *[data.ndim - 3 + axis for axis in order])
    change = torch.zeros(4, 4, dtype=torch.float64)
    change[3, 3] = 1
    for new, (old, sign) in enumerate(zip(order, signs, strict=True)):
        change[old, new] = sign
        change[old, 3] = 0 if sign > 0 else grid.shape[old] - 1
    flips = [reordered.ndim - 3 + axis for axis, sign in enumerate(signs) if sign < 0]
    shape = (grid.shape[order[0]], grid.shape[order[1]], grid.shape[order[2]])
    return reordered.flip(flips) if flips else reordered, Grid(shape, grid.affine @ change)


def _lengths(grid: Grid) -> Tensor:
    """Return the spacing as a column (3, 1), which scales rows in voxels to rows in mm."""
    return torch.tensor(grid.spacing, dtype=torch.float64)[:, None]
