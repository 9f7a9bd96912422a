"""Conversion between the world coordinates of the zoo (RAS+ mm) and of ITK (LPS+ mm).

The conversion changes the sign of x and y and is its own inverse.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from zoo.geometry import Grid
from zoo.geometry.grid import Shape

FLIP = torch.diag(torch.tensor([-1.0, -1.0, 1.0, 1.0], dtype=torch.float64))


def flip_affine(matrix: Tensor) -> Tensor:
    """Convert a 4x4 affine between LPS points and RAS points, in either direction."""
    return FLIP @ matrix.double() @ FLIP


def flip_points(points: Tensor) -> Tensor:
    """Convert points or vectors (n, 3) between LPS mm and RAS mm, in either direction."""
    return points * FLIP.diagonal()[:3].to(points)


def flip_field(field: Tensor) -> Tensor:
    """Convert vectors [3, X, Y, Z] between LPS and RAS components, in either direction."""
    return field * FLIP.diagonal()[:3].to(field).view(3, 1, 1, 1)


def grid_from_itk(
    size: Shape, origin: np.ndarray, spacing: np.ndarray, direction: np.ndarray
) -> Grid:
    """Return the grid of a size, origin (3,), spacing (3,) and direction (3, 3), LPS mm."""
    affine = torch.eye(4, dtype=torch.float64)
    affine[:3, :3] = torch.from_numpy(np.asarray(direction, float).reshape(3, 3) * spacing)
    affine[:3, 3] = torch.from_numpy(np.asarray(origin, float))
    return Grid(size, FLIP @ affine)


def grid_to_itk(grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the origin (3,), spacing (3,) and direction (3, 3) of a grid, LPS mm."""
    affine = (FLIP @ grid.affine).numpy()
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    return affine[:3, 3], spacing, affine[:3, :3] / spacing
