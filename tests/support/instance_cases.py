"""An analytic pair with a known map, for the tests of instance optimisation."""

import math

import torch

from zoo.geometry.sampling import identity_index
from zoo.solvers.instance import ImagePair

SHAPE = (28, 23, 32)


def texture(points):
    """Return an analytic image [1, 1, ...] in [0, 1] at points [1, 3, ...] in voxels."""
    generator = torch.Generator().manual_seed(1)
    waves = torch.randn(12, 3, generator=generator) * 0.35
    phases = 2 * math.pi * torch.rand(12, generator=generator)
    angles = torch.einsum("wk,bkxyz->bwxyz", waves, points) + phases.view(1, -1, 1, 1, 1)
    return 0.5 + torch.sin(angles).sum(1, keepdim=True) / 24


def known_map(amplitude=1.5, shape=SHAPE):
    """Return a smooth displacement [1, 3, X, Y, Z] in voxels."""
    x, y, z = identity_index(shape)[0]
    parts = [torch.sin(y / 7), torch.cos(x / 8 + 1), torch.sin(z / 9 + x / 12)]
    return amplitude * torch.stack(parts)[None]


def pair_with_map(shape=SHAPE):
    """Return a pair with moving(i + d(i)) = fixed(i), and d."""
    index, truth = identity_index(shape), known_map(shape=shape)
    return ImagePair(texture(index), texture(index + truth)), truth


def zeros(shape=SHAPE):
    return torch.zeros(1, 3, *shape)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)
