"""Registration that labels steer.

Each label raises the intensity of its structure in both images by the same amount, so that the
boundaries of the structures are edges that both images share, whatever their contrasts are. Every
fifth label is held out: it does not steer, and its overlap shows what the guidance is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from zoo.datasets.pairs import Pair
from zoo.errors import UserError
from zoo.geometry import Transform, warp
from zoo.io.volume import Volume
from zoo.measures import shared_labels
from zoo.registration.guidance.held_out import Register, held_out_of
from zoo.registration.result import RegisteredPair

CONTRAST = 2.0
"""The contrast of a label relative to the range of the image; 0.5 misled the search of MCBO."""

_GOLDEN = 0.618034  # its multiples spread the intensities of the labels evenly
_QUANTILES = (0.02, 0.98)
_MOST_SAMPLES = 1_000_000  # voxels of which the quantiles are computed


def register_with_labels(register: Register, pair: Pair) -> RegisteredPair:
    """Register a pair that has label maps, which steer the registration.

    `guide` in the notes lists the labels that steered and those that were held out, with the mean
    Dice of both before and after the registration.
    """
    fixed, moving = pair.fixed_labels, pair.moving_labels
    if fixed is None or moving is None:
        raise UserError("--guide labels needs labels; add --fixed-labels and --moving-labels")
    common = shared_labels(fixed.data, moving.data)
    if not common:
        raise UserError(f"{fixed.path} and {moving.path} have no label in common")
    held_out = [common[k] for k in held_out_of(len(common))]
    guiding = [label for label in common if label not in held_out]
    raised = replace(
        pair,
        fixed=_raised(pair.fixed, fixed.data, guiding),
        moving=tuple(_raised(volume, moving.data, guiding) for volume in pair.moving),
    )
    found = register(raised)
    record: dict[str, Any] = {"kind": "labels", "guiding": guiding, "held_out": held_out}
    for stage, transform in (("before", Transform.identity()), ("after", found.transform)):
        warped = warp(
            moving.data[None], moving.grid, fixed.grid, transform, interpolation="nearest"
        )[0]
        for name, labels in (("guiding", guiding), ("held_out", held_out)):
            record[f"{name}_dice_{stage}"] = _mean_dice(fixed.data, warped, labels)
    notes = found.notes | {"guide": record}
    return RegisteredPair(pair, found.transform, found.inverse, found.seconds, notes)


def _raised(volume: Volume, labels: Tensor, guiding: Sequence[int]) -> Volume:
    """Return an image scaled to 0 to 1000, with the intensity of each label raised."""
    image = volume.data.float()
    step = max(1, image.numel() // _MOST_SAMPLES)
    low, high = torch.quantile(image.flatten()[::step], torch.tensor(_QUANTILES)).tolist()
    scaled = ((image - low) / max(high - low, 1e-6)).clamp(0, 1)
    for k, label in enumerate(guiding):
        scaled = scaled + CONTRAST * (0.5 + (k * _GOLDEN) % 1) * (labels == label)
    return replace(volume, data=1000 * scaled)


def _mean_dice(fixed: Tensor, warped: Tensor, labels: Sequence[int]) -> float | None:
    """Return the mean Dice of labels, or None without labels."""
    scores = []
    for label in labels:
        one, two = fixed == label, warped == label
        scores.append(2 * float((one & two).sum()) / max(1, int(one.sum()) + int(two.sum())))
    return sum(scores) / len(scores) if scores else None
