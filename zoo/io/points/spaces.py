"""The coordinate spaces of points: RAS or LPS in mm, or voxel indices of an image."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from zoo.errors import UserError
from zoo.geometry import Grid
from zoo.io.lps import flip_points

Space = Literal["ras", "lps", "voxel"]


def check_space(space: str, grid: Grid | None) -> None:
    """Refuse an unknown space, and voxels without the grid of their image."""
    if space not in ("ras", "lps", "voxel"):
        raise UserError(f"the space of points must be ras, lps or voxel, not {space!r}")
    if space == "voxel" and grid is None:
        raise UserError("points in voxels need the image that they belong to; give that image")


def to_world(points: Tensor, space: Space, grid: Grid | None) -> Tensor:
    """Map points (n, 3) of a space to RAS+ mm."""
    if space == "voxel" and grid is not None:
        return grid.to_world(points)
    return flip_points(points) if space == "lps" else points


def from_world(points: Tensor, space: Space, grid: Grid | None) -> Tensor:
    """Map points (n, 3) in RAS+ mm to a space."""
    if space == "voxel" and grid is not None:
        return grid.to_index(points)
    return flip_points(points) if space == "lps" else points
