"""The mid-space of a group: the affine mean of its images, which is the space of none of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.atlases.mean_affine import mean_affine
from zoo.geometry import Grid


def mid_space_maps(from_reference: Sequence[Tensor]) -> list[Tensor]:
    """Return the affine maps from the mid-space to the images, 4x4 each, RAS+ mm.

    `from_reference` are maps from any one space to the images. It has no influence on the result,
    as long as the maps from another space differ by one map only.
    """
    to_reference = torch.linalg.inv(mean_affine(from_reference))
    return [matrix.double() @ to_reference for matrix in from_reference]


def mid_space_grid(grids: Sequence[Grid], maps: Sequence[Tensor], spacing: float | None) -> Grid:
    """Return an isotropic RAS grid in the mid-space that covers what most images cover.

    Every end of the field of view is the median of those of the images, moved to the mid-space by
    the inverse of `maps`. The default of `spacing`, in mm, is the median of the edges of cubes with
    the volumes of the images' voxels.
    """
    edges = [abs(float(torch.linalg.det(grid.linear))) ** (1 / 3) for grid in grids]
    step = _median(torch.tensor(edges)).item() if spacing is None else spacing
    boxes = [
        box_of_grid(grid.moved(torch.linalg.inv(matrix)))
        for grid, matrix in zip(grids, maps, strict=True)
    ]
    lowest = _median(torch.stack([box[0] for box in boxes]))
    highest = _median(torch.stack([box[1] for box in boxes]))
    shape = ((highest - lowest) / step).round().clamp_min(2).long().tolist()
    affine = torch.diag(torch.tensor([step, step, step, 1.0], dtype=torch.float64))
    half = (torch.tensor(shape, dtype=torch.float64) - 1) / 2
    affine[:3, 3] = (lowest + highest) / 2 - step * half
    return Grid((shape[0], shape[1], shape[2]), affine)


def box_of_grid(grid: Grid) -> tuple[Tensor, Tensor]:
    """Return the lowest and the highest world coordinates that voxels of a grid reach: (3,), mm."""
    ends = [torch.tensor([-0.5, n - 0.5], dtype=torch.float64) for n in grid.shape]
    corners = grid.to_world(torch.cartesian_prod(*ends))
    return corners.min(dim=0).values, corners.max(dim=0).values


def _median(values: Tensor) -> Tensor:
    """Return the median along the first axis; that of two values is their mean."""
    return values.double().quantile(0.5, dim=0)
