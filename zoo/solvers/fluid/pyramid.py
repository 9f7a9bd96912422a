"""Images and masks of the fluid refinement at lower resolutions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.losses.filters import gaussian_taps, separable_filter
from zoo.solvers.fluid.steps import LevelImages

_FEWEST_VOXELS = 16  # along the shortest axis of a level


def binary_mask(mask: Tensor | None, like: Tensor) -> Tensor:
    """Return a mask of the shape of `like` with the values 0 and 1; without a mask it is 1."""
    return torch.ones_like(like) if mask is None else (mask > 0.5).to(like)


def eroded(mask: Tensor) -> Tensor:
    """Return a mask without its outermost voxels, whose image gradient the outside would change."""
    return -F.max_pool3d(-mask, 3, stride=1, padding=1)


def at_stride(images: LevelImages, stride: int) -> LevelImages:
    """Return the images at `1 / stride` of the resolution, smoothed by half a stride before."""
    shape = images.fixed.shape[2:]
    coarse = [max(min(n, _FEWEST_VOXELS), round(n / stride)) for n in shape]
    if coarse == list(shape):
        return images

    def resized(volume: Tensor) -> Tensor:
        return F.interpolate(volume, coarse, mode="trilinear", align_corners=False)

    def smoothed(volume: Tensor) -> Tensor:
        taps = gaussian_taps(0.5 * stride, 2 * int(1.5 * stride) + 1)
        return resized(separable_filter(volume, [taps] * 3, edge="replicate"))

    masks = ((resized(m) > 0.999).float() for m in (images.moving_mask, images.fixed_mask))
    return LevelImages(smoothed(images.moving), smoothed(images.fixed), *masks)
