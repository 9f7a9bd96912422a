"""Endless synthetic subjects for training: random anatomy, contrasts and a known deformation.

The shapes come from smooth noise, arranged as the six regions that the models know; no scan of a
person was used. The moving image is the anatomy as drawn, and the fixed image is the anatomy seen
through a diffeomorphism, so that the true displacement is known. All random numbers come from one
seed: on the same device, equal seeds give equal pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.errors import UserError
from zoo.geometry.sampling import identity_index, sample, sample_nearest
from zoo.synthesis.appearance import render_contrasts, scan
from zoo.synthesis.displacement import PAIRINGS, Pairing, draw_displacement
from zoo.synthesis.random_numbers import Random
from zoo.synthesis.regions import REGIONS
from zoo.synthesis.structures import MARGIN, draw_structures


@dataclass(frozen=True)
class SyntheticPair:
    """Two images of a subject in M contrasts each.

    `fixed` and `moving` are [M, X, Y, Z] in [0, 1]; contrast m of both comes from the same kind of
    scanner. The labels are [X, Y, Z] uint8, 0 outside the body. `truth` [3, X, Y, Z] is the
    displacement in voxels, pull-back: fixed(i) ~ moving(i + truth(i)).
    """

    fixed: Tensor
    moving: Tensor
    fixed_labels: Tensor
    moving_labels: Tensor
    truth: Tensor
    region: str
    pairing: Pairing


def draw_pair(
    seed: int,
    shape: Sequence[int] = (80, 80, 80),
    *,
    contrasts: int = 1,
    region: str | None = None,
    pairing: Pairing | None = None,
    clean: bool = False,
    layered: bool = False,
    device: torch.device | str = "cpu",
) -> SyntheticPair:
    """Draw a pair. The region and the pairing are drawn as well unless they are given.

    A `clean` pair has neither noise nor a bias field: its images differ by the deformation alone.
    The body of a `layered` pair is built like a brain. Fluid surrounds it and fills its folds; some
    contrasts show the fluid bright and others nearly as dark as air. A cortex follows below, and
    the structures are in the core.
    """
    random = Random(seed, device)
    region = random.choice(sorted(REGIONS)) if region is None else region
    if region not in REGIONS:
        raise UserError(f"the region {region!r} is unknown; use one of {', '.join(REGIONS)}")
    pairing = PAIRINGS[int(random.rand(1) < 0.5)] if pairing is None else pairing
    if pairing not in PAIRINGS:
        raise UserError(f"the pairing {pairing!r} is unknown; use inter or intra")

    pad = [math.ceil(n * MARGIN) for n in shape]
    padded = [n + 2 * p for n, p in zip(shape, pad, strict=True)]
    labels, tissues = draw_structures(random, REGIONS[region], padded, layered)
    is_ct = random.uniform(0, 1) < REGIONS[region].ct
    anatomy = render_contrasts(random, labels, tissues, contrasts, is_ct)

    truth = draw_displacement(random, pairing, shape)
    offset = torch.tensor(pad, device=device).view(1, 3, 1, 1, 1)
    index = identity_index(shape, device=device) + truth + offset
    x, y, z = (slice(p, p + n) for p, n in zip(pad, shape, strict=True))
    moving = anatomy[:, x, y, z]
    fixed = sample(anatomy[None], index)[0]

    def scanned(images: Tensor) -> Tensor:
        if clean:
            return images.clamp(0, 1)
        return torch.stack([scan(random, x, m == 0 and is_ct) for m, x in enumerate(images)])

    return SyntheticPair(
        fixed=scanned(fixed),
        moving=scanned(moving),
        fixed_labels=sample_nearest(labels[None, None], index)[0, 0],
        moving_labels=labels[x, y, z],
        truth=truth[0],
        region=region,
        pairing=pairing,
    )
