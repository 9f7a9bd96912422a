"""Analytic heads that are moved by known maps."""

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from zoo.geometry import Grid


def oblique_grid(shape=(40, 44, 22), spacing=(3.0, 3.0, 4.5), flip=1):
    affine = np.eye(4)
    turn = Rotation.from_rotvec([0.2, -0.15, 0.1]).as_matrix()
    affine[:3, :3] = turn @ np.diag([flip * spacing[0], spacing[1], spacing[2]])
    affine[:3, 3] = np.array([5.0, -12, 8]) - affine[:3, :3] @ (np.array(shape) - 1) / 2
    return Grid(shape, torch.from_numpy(affine))


def blobs(points, seed=0):
    """Return an analytic image at RAS points (n, 3): a head of 60 mm with 40 soft blobs."""
    rng = np.random.default_rng(seed)
    centre = np.array([5.0, -12, 8])
    value = 500 / (1 + np.exp((np.linalg.norm((points - centre) / [52, 60, 44], axis=1) - 1) * 12))
    for _ in range(40):
        at = centre + rng.uniform(-35, 35, 3)
        width, height = rng.uniform(6, 14), rng.uniform(-150, 250)
        value += height * np.exp(-((points - at) ** 2).sum(1) / (2 * width**2))
    return value


def moved_by(grid, matrix, noise=0.0, seed=1):
    """Return the frame that shows the image moved by `matrix`, which maps reference to frame."""
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1).reshape(-1, 3)
    world = grid.to_world(torch.from_numpy(index)).numpy()
    back = np.linalg.inv(matrix)
    value = blobs(world @ back[:3, :3].T + back[:3, 3]).reshape(grid.shape)
    value += noise * np.random.default_rng(seed).normal(size=grid.shape)
    return torch.from_numpy(value).float()


def rigid(shift, degrees, centre):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = centre + shift - matrix[:3, :3] @ centre
    return matrix


def error_mm(found, truth, centre):
    """Return the largest error of a map within 50 mm of the centre, mm."""
    points = centre + 50 * np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1]])
    difference = (found - truth)[:3, :3] @ points.T + (found - truth)[:3, 3:]
    return float(np.linalg.norm(difference, axis=0).max())
