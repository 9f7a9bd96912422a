"""Random smooth maps of the world, known in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SmoothMap:
    """A smooth map T(x) = x + a sum of sine waves, with derivatives in closed form.

    `waves` (n, 3) are in rad/mm, `phases` (n,) in rad and `amplitudes` (n, 3) in mm.
    """

    waves: Tensor
    phases: Tensor
    amplitudes: Tensor

    @classmethod
    def draw(cls, seed: int, largest_mm: float, size_mm: float, steepness: float) -> SmoothMap:
        """Draw a map for a body of half-width `size_mm`.

        The displacements reach about `largest_mm`. `steepness` bounds their derivative; below 1
        the map is invertible.
        """
        random = torch.Generator().manual_seed(seed)
        count = 6
        waves = torch.randn(count, 3, generator=random, dtype=torch.float64)
        waves = waves / waves.norm(dim=1, keepdim=True)
        waves = waves * (math.pi / size_mm)
        waves = waves * (0.6 + torch.rand(count, 1, generator=random, dtype=torch.float64))
        phases = 2 * math.pi * torch.rand(count, generator=random, dtype=torch.float64)
        amplitudes = torch.randn(count, 3, generator=random, dtype=torch.float64)
        amplitudes = amplitudes * (largest_mm / float(amplitudes.norm(dim=1).sum()))
        slope = float((amplitudes.norm(dim=1) * waves.norm(dim=1)).sum())
        return cls(waves, phases, amplitudes * min(1.0, steepness / slope))

    def displacement(self, points: Tensor) -> Tensor:
        """Return T(x) - x (n, 3) in mm, float64, at points (n, 3) in mm."""
        return torch.sin(points.double() @ self.waves.T + self.phases) @ self.amplitudes

    def __call__(self, points: Tensor) -> Tensor:
        """Return T(x) (n, 3) in mm, float64, of points (n, 3) in mm."""
        return points.double() + self.displacement(points)

    def jacobian_determinant(self, points: Tensor) -> Tensor:
        """Return det(dT/dx) (n,) at points (n, 3) in mm, from the derivative in closed form."""
        slope = torch.cos(points.double() @ self.waves.T + self.phases)
        gradient = torch.einsum("pn,nk,nj->pkj", slope, self.amplitudes, self.waves)
        determinant: Tensor = torch.linalg.det(gradient + torch.eye(3, dtype=torch.float64))
        return determinant

    def inverse(self, points: Tensor) -> Tensor:
        """Return x (n, 3) in mm with T(x) = y for points y (n, 3) in mm, to about 1e-9 mm."""
        solution = points.double()
        for _ in range(200):
            solution = points.double() - self.displacement(solution)
        return solution
