"""Phantom pairs with anatomy-like images and a known deformation, for tests and the demo.

The anatomy is a function of world coordinates, so that it is drawn on any grid without
interpolation: the moving image is anatomy(y), the fixed image is anatomy(T(x)). Lengths are
relative to the half-width of the body, so that a seed gives the same anatomy at every size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.errors import UserError
from zoo.geometry.grid import Grid
from zoo.geometry.transform import Transform, slabs
from zoo.synthesis.phantom_anatomy import CONTRASTS, NOISE, Anatomy
from zoo.synthesis.smooth_map import SmoothMap


@dataclass(frozen=True)
class PhantomPair:
    """Two images [X, Y, Z] float32 with labels (uint8), landmarks (n, 3) in RAS+ mm, and the truth.

    `fixed_points[i]` and `moving_points[i]` are the same landmark. The transform `truth` maps the
    first to the second and is dense on the fixed grid.
    """

    fixed: Tensor
    moving: Tensor
    fixed_labels: Tensor
    moving_labels: Tensor
    fixed_grid: Grid
    moving_grid: Grid
    fixed_points: Tensor
    moving_points: Tensor
    truth: Transform


def make_pair(
    seed: int = 0,
    *,
    shape: Sequence[int] = (64, 64, 64),
    spacing: Sequence[float] = (2.0, 2.0, 2.0),
    axes: str = "RAS",
    tilt_degrees: float = 0.0,
    contrasts: tuple[str, str] = ("t1", "t1"),
    largest_mm: float | None = None,
    moving_shape: Sequence[int] | None = None,
    moving_spacing: Sequence[float] | None = None,
    moving_axes: str | None = None,
    noise: bool = True,
) -> PhantomPair:
    """Make a pair of images on the given grids; equal arguments give equal voxels.

    `contrasts` are those of the fixed and of the moving image. `largest_mm` bounds the true
    displacement; the default is a quarter of the body's half-width. `tilt_degrees` makes both grids
    oblique.
    """
    for contrast in contrasts:
        if contrast not in CONTRASTS:
            known = ", ".join(CONTRASTS)
            raise UserError(f"the contrast {contrast!r} is unknown; use one of {known}")
    fixed = placed_grid(shape, spacing, axes, tilt_degrees)
    moving = placed_grid(
        moving_shape or shape, moving_spacing or spacing, moving_axes or axes, tilt_degrees
    )
    size = _half_widths(fixed)
    anatomy = Anatomy.draw(seed, size.tolist())
    smallest = float(size.min())
    largest = smallest / 4 if largest_mm is None else largest_mm
    warp = SmoothMap.draw(seed + 1, largest, smallest, steepness=0.7)

    fixed_labels, fixed_image = _draw(anatomy, fixed, contrasts[0], warp, noise, seed + 2)
    moving_labels, moving_image = _draw(anatomy, moving, contrasts[1], None, noise, seed + 3)
    fixed_points = _landmarks(anatomy, warp)
    return PhantomPair(
        fixed=fixed_image,
        moving=moving_image,
        fixed_labels=fixed_labels,
        moving_labels=moving_labels,
        fixed_grid=fixed,
        moving_grid=moving,
        fixed_points=fixed_points,
        moving_points=warp(fixed_points),
        truth=true_transform(warp, fixed),
    )


def true_transform(warp: SmoothMap, grid: Grid) -> Transform:
    """Return a smooth map as a transform that is dense on `grid`."""
    field = torch.empty(3, *grid.shape)
    for start, stop in slabs(grid):
        displacement = warp.displacement(_world(grid, start, stop))
        field[:, start:stop] = displacement.T.reshape(3, stop - start, *grid.shape[1:]).float()
    return Transform(torch.eye(4), field, grid)


def placed_grid(
    shape: Sequence[int], spacing: Sequence[float], axes: str = "RAS", tilt_degrees: float = 0.0
) -> Grid:
    """Return a grid centred at the origin of the world.

    `axes` names the directions of the array axes, such as "LPS" or "SAR".
    """
    direction = torch.zeros(3, 3, dtype=torch.float64)
    for column, letter in enumerate(axes):
        row = next((k for k, pair in enumerate(("RL", "AP", "SI")) if letter in pair), None)
        if row is None or direction[row].any():
            raise UserError(
                f"the axes {axes!r} must name each of R/L, A/P, S/I once, such as 'RAS'"
            )
        direction[row, column] = 1 if letter in "RAS" else -1
    angle = math.radians(tilt_degrees)
    about_x = torch.eye(3, dtype=torch.float64)
    about_x[1:, 1:] = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    about_z = torch.eye(3, dtype=torch.float64)
    about_z[:2, :2] = about_x[1:, 1:]
    affine = torch.eye(4, dtype=torch.float64)
    affine[:3, :3] = about_z @ about_x @ direction * torch.tensor(list(spacing)).double()
    affine[:3, 3] = -affine[:3, :3] @ ((torch.tensor(list(shape)).double() - 1) / 2)
    return Grid((shape[0], shape[1], shape[2]), affine)


def _half_widths(grid: Grid) -> Tensor:
    """Return half of the field of view along each world axis: (3,) in mm."""
    extent = torch.tensor(grid.shape).double() * torch.tensor(grid.spacing).double() / 2
    direction = grid.linear / torch.tensor(grid.spacing).double()
    return (direction.abs().round() * extent).sum(dim=1).clamp_min(float(extent.min()))


def _world(grid: Grid, start: int, stop: int) -> Tensor:
    """Return the voxels from `start` to `stop` along the first axis: (n, 3) in RAS+ mm, float64."""
    ranges = [torch.arange(n, dtype=torch.float64) for n in grid.shape]
    ranges[0] = ranges[0][start:stop]
    return grid.to_world(torch.cartesian_prod(*ranges))


def _draw(
    anatomy: Anatomy, grid: Grid, contrast: str, warp: SmoothMap | None, noise: bool, seed: int
) -> tuple[Tensor, Tensor]:
    """Return labels (uint8) and image (float32) of the anatomy on a grid, deformed by `warp`."""
    labels = torch.empty(grid.shape, dtype=torch.uint8)
    image = torch.empty(grid.shape, dtype=torch.float32)
    for start, stop in slabs(grid):
        points = _world(grid, start, stop)
        points = points if warp is None else warp(points)
        slab_shape = (stop - start, *grid.shape[1:])
        slab_labels = anatomy.labels(points)
        labels[start:stop] = slab_labels.view(slab_shape)
        intensity = anatomy.intensity(points, slab_labels, contrast)
        image[start:stop] = intensity.float().view(slab_shape)
    if noise:
        random = torch.Generator().manual_seed(seed)
        image += NOISE[contrast] * torch.randn(grid.shape, generator=random)
    return labels, image


def _landmarks(anatomy: Anatomy, warp: SmoothMap) -> Tensor:
    """Return fixed landmarks (n, 3) in RAS+ mm at the centre and the ends of each organ."""
    ends = anatomy.rotations[1:] * anatomy.radii[1:, None, :] * 0.6
    points = [anatomy.centres[1:]]
    points += [anatomy.centres[1:] + sign * ends[:, :, k] for k in range(3) for sign in (-1, 1)]
    return warp.inverse(torch.cat(points))
