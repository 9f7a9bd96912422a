"""What a scanner and a disease do to the images of an anatomy, beyond noise and bias field."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.losses.filters import gaussian_taps, separable_filter
from zoo.synthesis.appearance import scan
from zoo.synthesis.random_numbers import Random

BLUR_SHARE, THICK_SHARE, LESION_SHARE, MISSING_SHARE = 0.4, 0.2, 0.1, 0.1
"""Shares of the images that are blurred, have thick slices, a lesion, or miss a part."""


def acquired(random: Random, image: Tensor, is_ct: bool) -> Tensor:
    """Return an image [X, Y, Z] as acquired, in [0, 1].

    It may have a lesion that other images of the person lack, lower resolution, thick slices, and
    end inside the body; noise and, unless it is a CT, a bias field are added.
    """
    if random.uniform(0, 1) < LESION_SHARE:
        image = with_lesion(random, image[None])[0]
    if random.uniform(0, 1) < BLUR_SHARE:
        taps = gaussian_taps(random.uniform(0.3, 1.2), 7)
        image = separable_filter(image[None, None], [taps] * 3, "replicate")[0, 0]
    if random.uniform(0, 1) < THICK_SHARE:
        image = thick_slices(random, image)
    image = scan(random, image, is_ct)
    return missing_part(random, image) if random.uniform(0, 1) < MISSING_SHARE else image


def with_lesion(random: Random, images: Tensor) -> Tensor:
    """Return images [M, X, Y, Z] with an irregular blob whose value differs between contrasts."""
    shape = images.shape[1:]
    size = min(shape) * random.uniform(0.08, 0.25)
    place = [random.uniform(0.2, 0.8) * (n - 1) for n in shape]
    distance = torch.zeros((), device=images.device)
    for axis, n in enumerate(shape):
        view = [1, 1, 1]
        view[axis] = n
        steps = torch.arange(n, device=images.device).view(view)
        distance = distance + ((steps - place[axis]) / size) ** 2
    bumps = random.smooth(1, shape, size)
    blob = torch.sigmoid(8 * (1 - distance.sqrt() + 0.3 * bumps))
    values = random.rand(len(images)).view(-1, 1, 1, 1)
    return torch.lerp(images, values, blob * (images.abs().amax(0, keepdim=True) > 0.02))


def thick_slices(random: Random, image: Tensor) -> Tensor:
    """Return an image [X, Y, Z] with slices of two to four voxels along a random axis."""
    axis = int(random.uniform(0, 3))
    thickness = random.uniform(2, 4)
    coarse = list(image.shape)
    coarse[axis] = max(2, round(coarse[axis] / thickness))
    fewer = F.interpolate(image[None, None], size=coarse, mode="area")
    return F.interpolate(fewer, size=image.shape, mode="trilinear", align_corners=False)[0, 0]


def missing_part(random: Random, image: Tensor) -> Tensor:
    """Return an image [X, Y, Z] that ends at a plane across a random axis; beyond it, it is 0."""
    axis = int(random.uniform(0, 3))
    n = image.shape[axis]
    cut = int(n * random.uniform(0.1, 0.4))
    start = 0 if random.uniform(0, 1) < 0.5 else n - cut
    out = image.clone()
    out.narrow(axis, start, cut).zero_()
    return out
