"""The anatomy of phantoms: tissues, contrasts, and organs known in closed form."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

TISSUES = ("air", "body", "lung", "bone", "organ", "vessel", "lesion")
ORGANS = 11

CONTRASTS: Mapping[str, tuple[float, ...]] = {
    "ct": (-1000, 30, -820, 650, 70, 180, 110),
    "t1": (5, 420, 60, 120, 640, 300, 200),
    "t2": (5, 300, 40, 90, 240, 700, 850),
    "pd": (5, 560, 90, 150, 680, 620, 720),
}
"""Mean intensity of each tissue: Hounsfield units for CT, scanner units for the MR contrasts."""

TEXTURE: Mapping[str, float] = {"ct": 25, "t1": 70, "t2": -60, "pd": 45}
"""Amplitude of the texture inside the body."""

NOISE: Mapping[str, float] = {"ct": 8, "t1": 10, "t2": 10, "pd": 8}
"""Standard deviation of the noise."""


@dataclass(frozen=True)
class Anatomy:
    """A body with organs like ellipsoids, as a function of world points.

    Structure k is the body (k = 0) or an organ, with `centres` (k, 3) and `radii` (k, 3) in mm,
    `rotations` (k, 3, 3) and indices into `TISSUES`. `waves` and `phases` make surfaces and
    intensities irregular.
    """

    centres: Tensor
    radii: Tensor
    rotations: Tensor
    tissues: tuple[int, ...]
    waves: Tensor
    phases: Tensor

    @classmethod
    def draw(cls, seed: int, size_mm: Sequence[float]) -> Anatomy:
        """Draw the anatomy of a body with the half-widths `size_mm` (3,) at the origin."""
        random = torch.Generator().manual_seed(seed)
        size = torch.tensor(list(size_mm), dtype=torch.float64)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=random, dtype=torch.float64)

        directions = torch.randn(ORGANS, 3, generator=random, dtype=torch.float64)
        directions = directions / directions.norm(dim=1, keepdim=True)
        centres = directions * (0.15 + 0.4 * uniform(ORGANS, 1)) * size
        radii = (0.13 + 0.17 * uniform(ORGANS, 3)) * size
        rotations = torch.linalg.qr(
            torch.randn(ORGANS, 3, 3, generator=random, dtype=torch.float64)
        )[0]
        body = torch.eye(3, dtype=torch.float64)[None]
        waves = torch.randn(10, 3, generator=random, dtype=torch.float64) * (9 / size)
        return cls(
            centres=torch.cat([torch.zeros(1, 3, dtype=torch.float64), centres]),
            radii=torch.cat([0.82 * size[None], radii]),
            rotations=torch.cat([body, rotations]),
            tissues=(1, *(2 + k % (len(TISSUES) - 2) for k in range(ORGANS))),
            waves=waves,
            phases=2 * math.pi * uniform(10),
        )

    def labels(self, points: Tensor) -> Tensor:
        """Return labels (n,) uint8 at points (n, 3) in mm: 0 is air, 1 the body, 2 to 12 organs."""
        bump = 0.05 * torch.sin(points.double() @ self.waves[:3].T + self.phases[:3]).sum(dim=1)
        out = torch.zeros(len(points), dtype=torch.uint8)
        for k, (centre, radius, rotation) in enumerate(
            zip(self.centres, self.radii, self.rotations, strict=True)
        ):
            local = ((points.double() - centre) @ rotation) / radius
            inside = local.norm(dim=1) + bump < 1
            out[inside if k == 0 else inside & (out > 0)] = k + 1
        return out

    def texture(self, points: Tensor) -> Tensor:
        """Return a smooth pattern (n,) in about [-1, 1] at points (n, 3) in mm."""
        return torch.sin(points.double() @ self.waves.T + self.phases).mean(dim=1) * 2

    def intensity(self, points: Tensor, labels: Tensor, contrast: str) -> Tensor:
        """Return the noiseless intensity (n,) at points (n, 3) in mm with the labels (n,)."""
        table = torch.tensor(CONTRASTS[contrast], dtype=torch.float64)
        tissue = torch.tensor([0, *self.tissues])[labels.long()]
        return table[tissue] + TEXTURE[contrast] * self.texture(points) * (labels > 0)
