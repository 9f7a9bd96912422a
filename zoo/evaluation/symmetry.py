"""How similar an image is to its own mirror image, which decides whether a mirrored header shows.

The plane of symmetry of a body is seldom a plane of the grid: heads are tilted. The mirror image is
therefore aligned rigidly with the fixed image before the two are compared.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from zoo.geometry import Grid, Transform, warp
from zoo.measures import Body
from zoo.solvers.affine.alignment import search_families
from zoo.solvers.affine.objective import AffineObjective

LEVELS = ((24, 5_000), (48, 15_000))  # voxels across the lattice, points


def aligned_mirror_image(fixed: Body, warped: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mirror image of `warped`, aligned with `fixed`, and where it is known (bool).

    `warped` and both results are [X, Y, Z] on the grid of `fixed`. `warped` is in [0, 1], and
    negative where it is unknown.
    """
    known = (warped >= 0).float()
    body = fixed.mask * known
    centre = fixed.grid.to_world(body.nonzero()).mean(0)
    common = replace(fixed, mask=body, centre=centre)
    image = warped.clamp_min(0)
    grid = mirrored_grid(fixed.grid, centre)
    matrix = rigid_alignment(common, Body(image, body, grid, centre))
    channels = torch.stack([image, known])
    copy, inside = warp(channels, grid, fixed.grid, Transform(matrix), fill=0)
    return copy, inside > 0.999


def rigid_alignment(fixed: Body, moving: Body) -> Tensor:
    """Return the best rigid map fixed -> moving, 4x4, RAS+ mm."""
    extent = max(n * s for n, s in zip(fixed.grid.shape, fixed.grid.spacing, strict=True))
    coarse, fine = (
        AffineObjective(fixed.at(extent / across), moving.at(extent / across), points)
        for across, points in LEVELS
    )
    return search_families([coarse, fine, fine], "rigid")["rigid"]


def mirrored_grid(grid: Grid, centre: Tensor) -> Grid:
    """Return a grid with left and right exchanged about the plane through `centre` (3,)."""
    mirror = torch.eye(4, dtype=torch.float64)
    mirror[0, 0] = -1
    mirror[0, 3] = 2 * centre[0]
    return grid.moved(mirror)
