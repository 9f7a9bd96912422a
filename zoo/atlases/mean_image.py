"""The mean of warped images with robustly normalised intensities, and its sharpness."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.errors import UserError
from zoo.geometry import Grid
from zoo.losses.filters import gaussian

LOW, HIGH = 0.01, 0.99
"""Quantiles of an image's intensities that are made equal before the images are averaged."""
SHARPENED = 0.5
"""Part of the difference from the smoothed image that `sharpen` adds."""


@dataclass
class MeanImage:
    """The voxelwise mean of images on one grid, each over the voxels that it covers.

    With `normalised` the quantiles `LOW` and `HIGH` of every image are made equal first; the mean
    gets back their mean values. Images in absolute units, such as CT, are averaged as they are.
    """

    grid: Grid
    normalised: bool = True

    def __post_init__(self) -> None:
        self._total = torch.zeros(self.grid.shape)
        self._covered = torch.zeros(self.grid.shape)
        self._ranges: list[tuple[float, float]] = []

    def add(self, warped: Tensor, name: str) -> None:
        """Add an image [X, Y, Z], NaN where it does not reach; `name` is for messages."""
        covered = torch.isfinite(warped)
        low, high = intensity_range(warped[covered]) if bool(covered.any()) else (0.0, 0.0)
        if low >= high:
            raise UserError(f"{name} shows nothing in the space of the template; leave it out")
        scaled = (warped - low) / (high - low) if self.normalised else warped
        self._total += torch.where(covered, scaled, 0.0)
        self._covered += covered
        self._ranges.append((low, high))

    def mean(self) -> Tensor:
        """Return the mean, [X, Y, Z] float32; voxels that no image covers get the lowest value."""
        mean = self._total / self._covered.clamp_min(1)
        if self.normalised:
            low, high = torch.tensor(self._ranges, dtype=torch.float64).mean(dim=0).tolist()
            mean = low + mean * (high - low)
        nowhere = self._covered == 0
        return mean.masked_fill(nowhere, float(mean[~nowhere].min()))


def intensity_range(values: Tensor) -> tuple[float, float]:
    """Return the quantiles `LOW` and `HIGH` of intensities (n,), exactly."""
    flat = values.flatten().float()
    ranks = (1 + int(quantile * (len(flat) - 1)) for quantile in (LOW, HIGH))
    low, high = (float(flat.kthvalue(rank).values) for rank in ranks)
    return low, high


def sharpness(image: Tensor, grid: Grid) -> float:
    """Return the root mean square of the gradient, as a part of the intensity range per mm.

    An image that is blurred, as a mean of badly aligned images is, has a smaller value. Only images
    of one anatomy on one grid can be compared.
    """
    values = image.double()
    low, high = intensity_range(image)
    squares = torch.zeros_like(values)
    for axis, spacing in enumerate(grid.spacing):
        squares += torch.gradient(values, spacing=spacing, dim=axis)[0] ** 2
    return float(squares.mean().sqrt()) / max(high - low, 1e-12)


def sharpen(image: Tensor) -> Tensor:
    """Return an image [X, Y, Z] with its finest detail amplified (unsharp mask), in its range."""
    smooth = gaussian(image[None, None], 1.0)[0, 0]
    norm = gaussian(torch.ones_like(image)[None, None], 1.0)[0, 0]
    sharp = image + SHARPENED * (image - smooth / norm)
    return sharp.clamp(float(image.min()), float(image.max()))
