"""The volumes of a registration on the grid of the viewer: the fixed grid with fewer voxels.

The axes of the viewer's grid are those of the fixed image in the order and the direction that is
nearest to RAS.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

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
    fixed, grid = reduced(pair.fixed, most_voxels)
    moving, moving_grid = reduced(pair.moving[0], max_spacing=max(grid.spacing))
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


def reduced(
    volume: Volume, most_voxels: int = 1 << 62, *, max_spacing: float | None = None
) -> tuple[Tensor, Grid]:
    """Return an image [X, Y, Z], float32, and its grid, with axes as near to RAS as possible.

    The axes of fine spacing are averaged until the grid has at most `most_voxels`, or up to
    `max_spacing` in mm. The field of view stays.
    """
    data, full = match_axes(volume.data, volume.grid, RAS)
    if max_spacing is None:
        spacing = coarser_spacing(full, most_voxels)
    else:
        spacing = [max(own, max_spacing) for own in full.spacing]
    grid = full.with_spacing(spacing)
    if grid.shape == full.shape:
        return data.float().contiguous(), full
    return interpolate(data[None, None].float(), grid.shape, mode="area")[0, 0], grid


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
