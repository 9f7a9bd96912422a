"""Deformed phantoms for the tests of MCBO."""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, map_coordinates


def phantom(shape, seed=0, amplitude=4.0):
    """Return fixed, moving and the true displacement [3, X, Y, Z]: fixed(i) = moving(i + d(i))."""
    rng = np.random.default_rng(seed)
    moving = sum(gaussian_filter(rng.standard_normal(shape), s) * s**1.5 for s in (1.5, 3, 6))
    truth = np.stack([gaussian_filter(rng.standard_normal(shape), 10) for _ in range(3)])
    truth *= amplitude / np.abs(truth).max()
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")) + truth
    fixed = map_coordinates(moving, index, order=3, mode="nearest")
    return torch.tensor(fixed).float(), torch.tensor(moving).float(), torch.tensor(truth).float()


def pair(*volumes):
    return torch.stack(volumes)[None]
