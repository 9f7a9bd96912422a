"""Seeded random numbers and smooth noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


class Random:
    """Random numbers from one seed on one device: equal seeds give equal numbers."""

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.generator = torch.Generator(self.device).manual_seed(seed)

    def uniform(self, low: float, high: float) -> float:
        """Return one number, uniform between `low` and `high`."""
        return low + (high - low) * float(self.rand(1))

    def choice(self, options: Sequence[str]) -> str:
        """Return one of `options`, all equally likely."""
        return options[min(int(self.rand(1) * len(options)), len(options) - 1)]

    def rand(self, *shape: int) -> Tensor:
        """Return a tensor of numbers, uniform in [0, 1)."""
        return torch.rand(*shape, generator=self.generator, device=self.device)

    def randn(self, *shape: int) -> Tensor:
        """Return a tensor of standard normal numbers."""
        return torch.randn(*shape, generator=self.generator, device=self.device)

    def smooth(self, channels: int, shape: Sequence[int], size: float) -> Tensor:
        """Return smooth noise [C, X, Y, Z] with unit variance and blobs `size` voxels wide.

        The noise is a cubic B-spline with normal coefficients at knots `size` voxels apart. That
        takes three small matrix products, whereas cubic interpolation of a coarse volume would read
        64 neighbours per voxel.
        """
        x, y, z = (_spline_basis(n, size, self.device) for n in shape)
        # 0.33 is about the standard deviation of a B-spline with normal coefficients.
        knots = self.randn(channels, x.shape[1], y.shape[1], z.shape[1]) / 0.33
        field = torch.matmul(torch.matmul(y, knots.flatten(0, 1)), z.T)
        return torch.matmul(x, field.view(channels, x.shape[1], -1)).view(channels, *shape)


def _spline_basis(n: int, size: float, device: torch.device) -> Tensor:
    """Return the values [n, knots] of cubic B-splines whose knots are `size` voxels apart."""
    position = torch.arange(n, device=device, dtype=torch.float32)[:, None] / size
    knots = torch.arange(math.ceil((n - 1) / size) + 3, device=device)[None] - 1
    t = (position - knots).abs()
    near = 2 / 3 - t**2 + t**3 / 2
    far = (2 - t).clamp_min(0) ** 3 / 6
    return torch.where(t < 1, near, far)
