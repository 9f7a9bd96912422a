"""What one U-Net of GradICON learns from before the four work together: crops of synthetic pairs.

A U-Net sees two images side by side and must find that displacement goes with their difference
along their slope. Nothing pulls it there for a long time when pairs are noisy and of two contrasts,
so it starts from filters that show it the two, and from pairs that differ in nothing but place.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.geometry.sampling import identity_index, sample
from zoo.networks.recolour import recoloured
from zoo.networks.unet import UNet
from zoo.synthesis.subjects import SyntheticPair

KEPT = 64
"""So many subjects are seen again, in other crops: drawing one costs as much as a step."""
LEAST_BODY = 0.2
EASY_UNTIL, HARD_FROM = 0.1, 0.4
LEAST_CLEAN = 0.2
HALVED = 0.5
LEAST_LEFT = 0.3
"""Voxels that are added to what a crop is off by when its error is taken as a share of that."""
OUTSIDE = 0.5
"""What a voxel of air counts beside one of the body where the map is to go on smoothly."""
GAIN = 8.0
MATCHED = 2
"""How often the U-Net acts, at most, each time on what is left."""


@dataclass(frozen=True)
class Crops:
    """Images [B, 1, n, n, n] and the true displacement [B, 3, n, n, n] in voxels."""

    fixed: Tensor
    moving: Tensor
    truth: Tensor


def easy_share(progress: float, least: float) -> float:
    """Return the share of easy pairs, all at first and `least` of them later on."""
    gone = (progress - EASY_UNTIL) / (HARD_FROM - EASY_UNTIL)
    return 1 - (1 - least) * min(1.0, max(0.0, gone))


def draw_crops(
    subjects: deque[SyntheticPair],
    size: int,
    count: int,
    alike: float,
    random: torch.Generator,
    halved: float = 0.0,
    *,
    recolour: bool = False,
) -> Crops:
    """Return crops of recent subjects, turned at random; a share `alike` shows one contrast.

    Of the crops of subjects that are twice as large a share `halved` is all of the subject,
    averaged down: what the U-Nets of the coarse lattices see, small displacements of smooth images.
    With `recolour` a subject's moving image is seen in the contrast of the fixed one.
    """
    crops: list[tuple[Tensor, Tensor, Tensor]] = []
    while len(crops) < count:
        pair = subjects[_below(len(subjects), random)]
        ratio = 1
        if min(pair.truth.shape[1:]) >= 2 * size and _chance(random) < halved:
            ratio = 2
        at = [_below(n - ratio * size + 1, random) for n in pair.truth.shape[1:]]
        box = tuple(slice(start, start + ratio * size) for start in at)
        first, second = (_below(len(pair.fixed), random) for _ in range(2))
        if _chance(random) < alike:
            second = first
        if float((pair.fixed_labels[box] > 0).float().mean()) < LEAST_BODY:
            continue
        a, b = pair.fixed[first], pair.moving[second]
        if recolour:
            b = recoloured(b[None, None], a[None, None])[0, 0]
        seen = a[box][None], b[box][None]
        fixed, moving, truth = (
            F.avg_pool3d(values, ratio) for values in (*seen, pair.truth[(slice(None), *box)])
        )
        crops.append(turned(fixed[0], moving[0], truth / ratio, random))
    fixed, moving, truth = (torch.stack(parts) for parts in zip(*crops, strict=True))
    return Crops(fixed[:, None], moving[:, None], truth)


def turned(
    fixed: Tensor, moving: Tensor, truth: Tensor, random: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Swap and flip axes of images [X, Y, Z] and of a displacement [3, X, Y, Z] at random."""
    axes = torch.randperm(3, generator=random).tolist()
    fixed, moving = fixed.permute(axes), moving.permute(axes)
    truth = truth[axes].permute(0, *(axis + 1 for axis in axes))
    for axis in range(3):
        if _below(2, random):
            fixed, moving, truth = fixed.flip(axis), moving.flip(axis), truth.flip(axis + 1)
            truth[axis].neg_()  # flip and the index above copy
    return fixed, moving, truth


def matching_losses(
    unet: UNet, crops: Crops, times: int, *, relative: bool = False
) -> dict[str, Tensor]:
    """Return "loss", the mean error in voxels after each time, and "error", after the last.

    If `relative`, the loss is the share that each time leaves of each crop's error, air included,
    so that small displacements, which are most of those between real scans, count as well.
    """
    inside = crops.fixed[:, 0] > 0.02
    found = matched(unet, crops.moving, crops.fixed, times)
    off = torch.stack([(d - crops.truth).norm(dim=1) for d in found])
    error = off[-1].detach()[inside].mean()
    if not relative:
        return {"loss": off[:, inside].mean(), "error": error}
    weight = torch.where(inside, 1.0, OUTSIDE)
    after = (off * weight).mean(dim=(2, 3, 4)) / weight.mean(dim=(1, 2, 3))
    start = (crops.truth.norm(dim=1) * weight).mean(dim=(1, 2, 3)) / weight.mean(dim=(1, 2, 3))
    before = torch.cat([start[None], after[:-1].detach()])
    return {"loss": (after / (before + LEAST_LEFT)).mean(), "error": error}


def matched(unet: UNet, moving: Tensor, fixed: Tensor, times: int) -> list[Tensor]:
    """Return the displacement [B, 3, X, Y, Z] in voxels after each time; each learns by itself."""
    scale = fixed.shape[2] - 1
    index = identity_index(fixed.shape[2:], device=fixed.device)
    found = [scale * unet(moving, fixed)]
    while len(found) < times:
        before = found[-1].detach()
        more = scale * unet(sample(moving, index + before), fixed)
        found.append(more + sample(before, index + more))
    return found


@torch.no_grad()
def show_slopes(unet: UNet) -> None:
    """Let the first convolution give slope plus and minus difference along each axis.

    Of its channels 2 k and 2 k + 1 are those of axis k, the last two are the images themselves. The
    difference of the two after the rectifier is the difference signed by the slope: displacement.
    """
    first = unet.downConvs[0]
    assert isinstance(first, nn.Conv3d)
    smooth, slope = torch.tensor([1.0, 2.0, 1.0]) / 4, torch.tensor([-1.0, 0.0, 1.0]) / 2
    blur = torch.einsum("i,j,k->ijk", smooth, smooth, smooth)
    first.weight.zero_()
    first.bias.zero_()  # type: ignore[union-attr]
    for axis in range(3):
        taps = [slope if k == axis else smooth for k in range(3)]
        along = torch.einsum("i,j,k->ijk", *taps) / 2
        for channel, sign in ((2 * axis, 1.0), (2 * axis + 1, -1.0)):
            first.weight[channel, 0] = GAIN * (along - sign * blur)
            first.weight[channel, 1] = GAIN * (along + sign * blur)


def _chance(random: torch.Generator) -> float:
    return float(torch.rand(1, generator=random))


def _below(end: int, random: torch.Generator) -> int:
    return int(torch.randint(end, (), generator=random))
