"""Between the zoo's world (RAS+ mm) and ITK's (LPS+ mm): x and y change sign, both ways."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from zoo.geometry import Grid
from zoo.geometry.grid import Shape

FLIP = torch.diag(torch.tensor([-1.0, -1.0, 1.0, 1.0], dtype=torch.float64))


def flip_map(matrix: Tensor) -> Tensor:
    """Turn a 4x4 map of LPS points into the same map of RAS points, or back."""
    return FLIP @ matrix.double() @ FLIP


def flip_points(points: Tensor) -> Tensor:
    """Turn points or vectors (n, 3) in LPS mm into RAS mm, or back."""
    return points * FLIP.diagonal()[:3].to(points)


def flip_field(field: Tensor) -> Tensor:
    """Turn vectors [3, X, Y, Z] with LPS components into RAS components, or back."""
    return field * FLIP.diagonal()[:3].to(field).view(3, 1, 1, 1)


def grid_from_itk(
    size: Shape, origin: np.ndarray, spacing: np.ndarray, direction: np.ndarray
) -> Grid:
    """Make a grid of ITK's size, origin (3,), spacing (3,) and direction (3, 3), LPS mm."""
    affine = torch.eye(4, dtype=torch.float64)
    affine[:3, :3] = torch.from_numpy(np.asarray(direction, float).reshape(3, 3) * spacing)
    affine[:3, 3] = torch.from_numpy(np.asarray(origin, float))
    return Grid(size, FLIP @ affine)


def grid_to_itk(grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a grid's origin (3,), spacing (3,) and direction (3, 3), LPS mm."""
    affine = (FLIP @ grid.affine).numpy()
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    return affine[:3, 3], spacing, affine[:3, :3] / spacing
