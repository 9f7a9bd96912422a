"""Grids in many orientations and a smooth transform, for the tests of file formats."""

import math

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from zoo.geometry import Grid, Transform

SHAPE = (20, 17, 14)


def _grid(axes, spacing, turn=(0.0, 0.0, 0.0), shape=SHAPE):
    """Return a grid with array axes along `axes` (rows of unit vectors), rotated by `turn`."""
    linear = Rotation.from_rotvec(turn).as_matrix() @ np.array(axes, float).T @ np.diag(spacing)
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = np.array([12.5, -31.0, 7.25]) - linear @ (np.array(shape) - 1) / 2
    return Grid(shape, torch.from_numpy(affine))


RAS = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
LPS = [[-1, 0, 0], [0, -1, 0], [0, 0, 1]]
LAS = [[-1, 0, 0], [0, 1, 0], [0, 0, 1]]
PIR = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]

GRIDS = {
    "RAS": _grid(RAS, (2, 2, 2)),
    "LPS": _grid(LPS, (2, 2, 2)),
    "LAS": _grid(LAS, (2, 2, 2)),
    "anisotropic RAS": _grid(RAS, (1.1, 2.3, 4.0)),
    "permuted PIR": _grid(PIR, (1.5, 2.5, 2.0)),
    "oblique RAS": _grid(RAS, (2, 2, 2), (0.2, -0.3, 0.4)),
    "oblique anisotropic LAS": _grid(LAS, (1.2, 2.1, 3.3), (0.5, 0.2, -0.3)),
    "slightly oblique LPS": _grid(LPS, (1.2, 1.2, 2.5), (0.01, -0.02, 0.015)),
}

AFFINE = torch.tensor(
    [
        [1.02, 0.10, -0.05, 4.0],
        [-0.08, 0.95, 0.12, -3.0],
        [0.03, -0.11, 1.06, 2.5],
        [0.0, 0.0, 0.0, 1.0],
    ],
    dtype=torch.float64,
)


def smooth_field(grid):
    """Return a displacement [3, X, Y, Z], RAS+ mm: sine waves of 3 mm, at least 150 mm long."""
    index = torch.cartesian_prod(*[torch.arange(float(n)) for n in grid.shape])
    x = grid.to_world(index)
    waves = torch.tensor(
        [[0.02, 0.03, -0.01], [-0.03, 0.01, 0.02], [0.01, -0.02, 0.03]], dtype=torch.float64
    )
    u = 3 * torch.sin(x @ waves + torch.tensor([0.3, 1.1, 2.0], dtype=torch.float64))
    return u.T.reshape(3, *grid.shape).float()


def smooth_transform(grid, affine=AFFINE):
    return Transform(affine, smooth_field(grid), grid)


def inner_points(grid, count=1000, margin=2.0, seed=0):
    """Return random points (n, 3), RAS+ mm, at least `margin` voxels inside the grid."""
    generator = torch.Generator().manual_seed(seed)
    room = torch.tensor([n - 1 - 2 * margin for n in grid.shape], dtype=torch.float64)
    index = margin + torch.rand(count, 3, generator=generator, dtype=torch.float64) * room
    return grid.to_world(index)


def max_distance(first, second):
    """Return the largest distance between two point lists (n, 3), mm."""
    difference = torch.as_tensor(np.asarray(first)) - torch.as_tensor(np.asarray(second))
    distance = float(difference.norm(dim=1).max())
    assert math.isfinite(distance)
    return distance
