"""The random deformation between the two images of a synthetic subject."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.geometry.sampling import identity_index, sample
from zoo.synthesis.random_numbers import Random

Pairing = Literal["inter", "intra"]
PAIRINGS: tuple[Pairing, ...] = ("inter", "intra")

WAVES: Mapping[Pairing, Sequence[tuple[float, float]]] = {
    "intra": ((0.03, 0.5), (0.02, 0.25)),
    "inter": ((0.04, 0.5), (0.035, 0.22), (0.02, 0.1)),
}
"""Largest displacement and size of the waves of a deformation, relative to the field of view."""

AFFINE_SPREAD: Mapping[Pairing, float] = {"intra": 0.01, "inter": 0.025}
"""Largest standard deviation of the entries of the affine part."""

SQUARINGS = 5


def draw_displacement(random: Random, pairing: Pairing, shape: Sequence[int]) -> Tensor:
    """Draw a smooth displacement [1, 3, X, Y, Z] in voxels with an affine part.

    The deformable part is diffeomorphic: it integrates a velocity field, at half the resolution.
    """
    coarse = [max(math.ceil(n / 2), 2) for n in shape]
    view = torch.tensor(coarse, device=random.device).view(3, 1, 1, 1)
    velocity = torch.zeros(3, *coarse, device=random.device)
    for largest, size in WAVES[pairing]:
        waves = random.smooth(3, coarse, size * min(coarse)) / 2
        velocity += random.uniform(0.1, 1) * largest * waves * view
    flow = velocity[None] / 2**SQUARINGS
    identity = identity_index(coarse, device=random.device)
    for _ in range(SQUARINGS):
        flow = flow + sample(flow, identity + flow)
    scale = torch.tensor(
        [(n - 1) / (c - 1) for n, c in zip(shape, coarse, strict=True)], device=random.device
    ).view(1, 3, 1, 1, 1)
    flow = F.interpolate(flow * scale, size=tuple(shape), mode="trilinear", align_corners=True)
    centre = (torch.tensor(list(shape), device=random.device) - 1) / 2
    from_centre = identity_index(shape, device=random.device) - centre.view(1, 3, 1, 1, 1)
    spread = random.uniform(0, AFFINE_SPREAD[pairing])
    linear = spread * random.randn(3, 3)
    shift = spread * random.randn(3) * centre
    affine = torch.einsum("ij,bjxyz->bixyz", linear, from_centre) + shift.view(1, 3, 1, 1, 1)
    return flow + affine
