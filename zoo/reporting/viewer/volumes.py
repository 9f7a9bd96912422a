"""The volumes of a registration on the grid of the viewer: the fixed grid with fewer voxels.

The axes of the viewer's grid are those of the fixed image in the order and the direction that is
nearest to RAS.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool3d

from zoo.geometry import Grid, Transform, jacobian_determinant, match_axes, warp
from zoo.io.volume import Volume
from zoo.registration.result import RegisteredPair

RAS = Grid.from_spacing((1, 1, 1))


@dataclass(frozen=True)
class ViewerVolumes:
    """What the viewer shows of a registration, all on `grid`, [X, Y, Z].

    `moving` is resampled after the initial affine alignment, `warped` after the whole transform.
    Labels are (fixed, moving, warped). `jacobian` is det(dT/dx). `shift` [3, x, y, z] on
    `shift_grid` is the dense displacement in mm along the axes of the grid.
    """

    grid: Grid
    fixed: Tensor
    moving: Tensor
    warped: Tensor
    jacobian: Tensor
    shift: Tensor
    shift_grid: Grid
    labels: tuple[Tensor, Tensor, Tensor] | None


def viewer_volumes(
    registration: RegisteredPair, most_voxels: int, most_shift_voxels: int
) -> ViewerVolumes:
    """Return the volumes of a registration on grids of at most so many voxels."""
    pair, transform = registration.pair, registration.transform.to("cpu")
    start = Transform(transform.affine)
    fixed, grid = on_viewer_grid(pair.fixed, most_voxels)
    moving, moving_grid = averaged(pair.moving[0], [min(grid.spacing)] * 3)
    low = float(moving.min())
    shift_grid = grid.with_spacing(coarser_spacing(grid, most_shift_voxels))
    return ViewerVolumes(
        grid=grid,
        fixed=fixed,
        moving=warp(moving[None], moving_grid, grid, start, fill=low)[0],
        warped=warp(moving[None], moving_grid, grid, transform, fill=low)[0],
        jacobian=jacobian_determinant(transform, grid),
        shift=_along_axes(transform.displacement_on(shift_grid), shift_grid),
        shift_grid=shift_grid,
        labels=_labels(registration, grid, start, transform),
    )


def averaged(volume: Volume, spacing: Sequence[float]) -> tuple[Tensor, Grid]:
    """Return an image [X, Y, Z], float32, and its grid, with axes as near to RAS as possible.

    Along each axis, as many neighbouring voxels are averaged as fit into `spacing`, mm.
    """
    data, grid = match_axes(volume.data, volume.grid, RAS)
    factors = [
        min(max(1, math.floor(wanted / own + 1e-3)), size)
        for wanted, own, size in zip(spacing, grid.spacing, grid.shape, strict=True)
    ]
    if factors == [1, 1, 1]:
        return data.float().contiguous(), grid
    image = avg_pool3d(data[None].float(), factors, ceil_mode=True, count_include_pad=False)[0]
    change = torch.eye(4, dtype=torch.float64)
    for axis, factor in enumerate(factors):
        change[axis, axis], change[axis, 3] = factor, (factor - 1) / 2
    x, y, z = image.shape
    return image, Grid((x, y, z), grid.affine @ change)


def on_viewer_grid(volume: Volume, most_voxels: int) -> tuple[Tensor, Grid]:
    """Return an image with at most so many voxels, and its grid with axes as near to RAS.

    The field of view is that of the image.
    """
    grid = match_axes(volume.data, volume.grid, RAS)[1]
    spacing = coarser_spacing(grid, most_voxels)
    image, image_grid = averaged(volume, spacing)
    target = grid.with_spacing(spacing)
    if target.same_as(image_grid):
        return image, target
    low = float(image.min())
    return warp(image[None], image_grid, target, Transform.identity(), fill=low)[0], target


def coarser_spacing(grid: Grid, most_voxels: int) -> list[float]:
    """Return a spacing, as even as possible, with which a grid has at most `most_voxels`, mm."""
    low, high = min(grid.spacing), max(n * s for n, s in zip(grid.shape, grid.spacing, strict=True))
    if grid.voxels <= most_voxels:
        return list(grid.spacing)
    for _ in range(40):
        middle = (low + high) / 2
        fits = grid.with_spacing([max(own, middle) for own in grid.spacing]).voxels <= most_voxels
        low, high = (low, middle) if fits else (middle, high)
    return [max(own, high) for own in grid.spacing]


def _along_axes(displacement: Tensor, grid: Grid) -> Tensor:
    """Return a displacement [3, X, Y, Z] in RAS+ mm along the axes of a grid instead, in mm."""
    directions = grid.linear / torch.tensor(grid.spacing, dtype=torch.float64)
    return torch.einsum("kj,jxyz->kxyz", torch.linalg.inv(directions).float(), displacement)


def _labels(
    registration: RegisteredPair, grid: Grid, start: Transform, transform: Transform
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Return the fixed labels, and the moving ones after `start` and after `transform`."""
    fixed, moving = registration.pair.fixed_labels, registration.pair.moving_labels
    if fixed is None or moving is None:
        return None

    def on_grid(labels: Volume, applied: Transform) -> Tensor:
        return warp(labels.data[None], labels.grid, grid, applied, interpolation="nearest")[0]

    return (
        on_grid(fixed, Transform.identity()),
        on_grid(moving, start),
        on_grid(moving, transform),
    )
