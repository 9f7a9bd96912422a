"""Crops of synthetic pairs, from which one U-Net of GradICON learns to match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.networks.recolour import mapped, recolouring_curve
from zoo.synthesis.subjects import SyntheticPair

KEPT_SUBJECTS = 64
"""This many recent subjects are cropped again: drawing a subject takes as long as a step."""
MOST_RECOLOURED = 50
"""Voxels along the first axis from which every second voxel decides how an image is recoloured."""
MIN_BODY_SHARE = 0.2
"""Crops with less body than this share of their voxels are not used."""
HALF_RESOLUTION_SHARE = 0.5
"""Share of the crops at half resolution in a relative stage."""
EASY_UNTIL, HARD_FROM = 0.1, 0.4
"""Progress until which all pairs are easy, and from which only the least share of them is."""


@dataclass(frozen=True)
class Crops:
    """Images [B, 1, n, n, n] and the true displacement [B, 3, n, n, n] in voxels."""

    fixed: Tensor
    moving: Tensor
    truth: Tensor


def easy_share(progress: float, least: float) -> float:
    """Return the share of easy pairs, which falls from all of them to the share `least`."""
    fall = (progress - EASY_UNTIL) / (HARD_FROM - EASY_UNTIL)
    return 1 - (1 - least) * min(1.0, max(0.0, fall))


def draw_crops(
    subjects: Sequence[SyntheticPair],
    size: int,
    count: int,
    same_contrast_share: float,
    generator: torch.Generator,
    half_resolution_share: float = 0.0,
    *,
    recolour: bool = False,
) -> Crops:
    """Return `count` crops of random subjects, with random orientation.

    In a share `same_contrast_share` of the crops both images have the same contrast. Of the crops
    of subjects that are twice as large, a share `half_resolution_share` shows twice the extent at
    half the resolution: small displacements of smooth images, which the U-Nets of the coarse
    lattices see. With `recolour` the moving image takes the contrast of the fixed image.
    """
    crops: list[tuple[Tensor, Tensor, Tensor]] = []
    while len(crops) < count:
        pair = subjects[index_below(len(subjects), generator)]
        ratio = 1
        is_large = min(pair.truth.shape[1:]) >= 2 * size
        if is_large and uniform(generator) < half_resolution_share:
            ratio = 2
        starts = [index_below(n - ratio * size + 1, generator) for n in pair.truth.shape[1:]]
        box = tuple(slice(start, start + ratio * size) for start in starts)
        first, second = (index_below(len(pair.fixed), generator) for _ in range(2))
        if uniform(generator) < same_contrast_share:
            second = first
        if float((pair.fixed_labels[box] > 0).float().mean()) < MIN_BODY_SHARE:
            continue
        fixed, moving = pair.fixed[first], pair.moving[second]
        if recolour:
            moving = in_contrast_of(moving, fixed)
        truth_box = (slice(None), *box)
        crop = fixed[box][None], moving[box][None], pair.truth[truth_box]
        fixed, moving, truth = (F.avg_pool3d(values, ratio) for values in crop)
        turned = Orientation.draw(generator)
        crops.append((turned.of(fixed), turned.of(moving), turned.of_displacement(truth / ratio)))
    fixed, moving, truth = (torch.stack(parts) for parts in zip(*crops, strict=True))
    return Crops(fixed, moving, truth)


def in_contrast_of(moving: Tensor, fixed: Tensor) -> Tensor:
    """Return `moving` [X, Y, Z] in the contrast of `fixed`, both in [0, 1]."""
    step = 1 if len(moving) < MOST_RECOLOURED else 2
    every = (slice(None, None, step),) * 3
    curve = recolouring_curve(moving[every].cpu(), fixed[every].cpu())
    return mapped(moving, curve.to(moving))


@dataclass(frozen=True)
class Orientation:
    """A permutation of the axes, and the new axes that are flipped."""

    axes: tuple[int, ...]
    flips: tuple[int, ...]

    @classmethod
    def draw(cls, generator: torch.Generator) -> Orientation:
        """Draw one of the 48 orientations."""
        axes = torch.randperm(3, generator=generator).tolist()
        return cls(tuple(axes), tuple(k for k in range(3) if index_below(2, generator)))

    def of(self, volumes: Tensor) -> Tensor:
        """Return volumes [C, X, Y, Z] in this orientation."""
        volumes = volumes.permute(0, *(axis + 1 for axis in self.axes))
        return volumes.flip([axis + 1 for axis in self.flips])

    def of_displacement(self, field: Tensor) -> Tensor:
        """Return a displacement [3, X, Y, Z], whose components follow their axes."""
        field = self.of(field[list(self.axes)]).clone()
        field[list(self.flips)] *= -1
        return field


def uniform(generator: torch.Generator) -> float:
    """Return a number in [0, 1)."""
    return float(torch.rand(1, generator=generator))


def index_below(end: int, generator: torch.Generator) -> int:
    """Return an integer from 0 to end - 1."""
    return int(torch.randint(end, (), generator=generator))
