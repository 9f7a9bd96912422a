"""Crops of two persons, from which one U-Net of GradICON learns by the overlap of shared labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from compact.crops import Orientation, in_contrast_of, index_below, uniform
from compact.matching import matched
from zoo.geometry.sampling import identity_index, sample
from zoo.losses import consistency_points, field_map, gradicon, soft_dice
from zoo.networks.unet import UNet
from zoo.synthesis.rendered_pairs import PersonPair

MOST_LABELS = 8
"""Labels per crop, drawn at random from those that both persons show."""
LEAST_VOXELS = 30
"""Voxels of the crop that a label must have in both persons."""
MOST_TRIES = 20
"""Crops tried for each crop that is wanted; those without a shared label are not used."""


@dataclass(frozen=True)
class PersonCrops:
    """Images [B, 1, n, n, n], the fixed ones first: every pair occurs in both directions.

    `moving` is in the contrast of `fixed` if the images are recoloured. The masks [B, L, n, n, n]
    of the labels lie in [0, 1], and `present` [B, L] is 1 for a label and 0 for padding.
    """

    fixed: Tensor
    moving: Tensor
    fixed_masks: Tensor
    moving_masks: Tensor
    present: Tensor


def draw_person_crops(
    pairs: Sequence[PersonPair],
    size: int,
    count: int,
    same_contrast_share: float,
    generator: torch.Generator,
    half_resolution_share: float = 0.0,
    *,
    recolour: bool = False,
) -> PersonCrops | None:
    """Return crops of `count` random pairs in both directions, or None if no label is shared."""
    crops: list[tuple[Tensor, ...]] = []
    for _ in range(MOST_TRIES * count):
        if len(crops) == count:
            break
        pair = pairs[index_below(len(pairs), generator)]
        ratio = 2 if uniform(generator) < half_resolution_share else 1
        shape = pair.fixed_labels.shape
        starts = [index_below(n - ratio * size + 1, generator) for n in shape]
        box = tuple(slice(start, start + ratio * size) for start in starts)
        first, second = (index_below(len(pair.fixed), generator) for _ in range(2))
        if uniform(generator) < same_contrast_share:
            second = first
        labels = _shared_labels(pair, box, LEAST_VOXELS * ratio**3, generator)
        if not labels:
            continue
        one, two = pair.fixed[first], pair.moving[second]
        inputs = [one, in_contrast_of(two, one) if recolour else two]
        inputs += [two, in_contrast_of(one, two) if recolour else one]
        channels = torch.tensor([*labels, *[-1] * (MOST_LABELS - len(labels))], device=one.device)
        channels = channels.view(-1, 1, 1, 1)
        masks = [(own[box] == channels).float() for own in (pair.fixed_labels, pair.moving_labels)]
        turned = Orientation.draw(generator)
        volumes = [*(image[box][None] for image in inputs), *masks]
        crops.append(
            (
                *(turned.of(F.avg_pool3d(volume, ratio)) for volume in volumes),
                (channels.flatten() >= 0).float(),
            )
        )
    if not crops:
        return None
    fixed, moving, fixed_back, moving_back, masks_one, masks_two, present = (
        torch.stack(parts) for parts in zip(*crops, strict=True)
    )
    return PersonCrops(
        fixed=torch.cat([fixed, fixed_back]),
        moving=torch.cat([moving, moving_back]),
        fixed_masks=torch.cat([masks_one, masks_two]),
        moving_masks=torch.cat([masks_two, masks_one]),
        present=torch.cat([present, present]),
    )


def person_losses(
    unet: UNet, crops: PersonCrops, passes: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return one minus the soft Dice, averaged over all passes, and the inverse consistency."""
    displacements = matched(unet, crops.moving, crops.fixed, passes)
    index = identity_index(crops.fixed.shape[2:], device=crops.fixed.device)
    overlaps = [
        soft_dice(sample(crops.moving_masks, index + d), crops.fixed_masks, crops.present)
        for d in displacements
    ]
    forward, reverse = displacements[-1].chunk(2)
    points = consistency_points(crops.fixed.shape[2:], generator).to(forward)
    points = points.expand(len(forward), -1, -1, -1, -1)
    return torch.stack(overlaps).mean(), gradicon(field_map(forward), field_map(reverse), points)


def _shared_labels(
    pair: PersonPair, box: tuple[slice, ...], least: int, generator: torch.Generator
) -> list[int]:
    """Return up to `MOST_LABELS` random labels that both persons show in a box."""
    one, two = (
        torch.bincount(labels[box].flatten().long(), minlength=256)
        for labels in (pair.fixed_labels, pair.moving_labels)
    )
    shared = (torch.minimum(one, two) >= least).nonzero().flatten().tolist()
    shared = [label for label in shared if label > 0]
    order = torch.randperm(len(shared), generator=generator)[:MOST_LABELS].tolist()
    return [shared[k] for k in order]
