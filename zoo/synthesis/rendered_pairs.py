"""Pairs of images that are rendered from real anatomies: one person deformed, or two persons.

Label maps of heads get random MR contrasts, and a CT gets random curves. All random numbers come
from one seed: on the same device, equal seeds give equal pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.geometry.sampling import sample_nearest
from zoo.synthesis.acquisition import acquired, with_lesion
from zoo.synthesis.anatomies import Anatomy, aligning_affine, box_mm
from zoo.synthesis.ct import ct_contrasts, draw_curves
from zoo.synthesis.displacement import PAIRINGS, Pairing, draw_displacement
from zoo.synthesis.label_maps import draw_values, label_contrasts, without_skull
from zoo.synthesis.random_numbers import Random
from zoo.synthesis.subjects import SyntheticPair
from zoo.synthesis.views import draw_view, pooling_ratio, sample_view, seen_index

HEAD_VOXELS, CT_VOXELS = (1.3, 4.5), (2.0, 6.0)
"""Range of the voxel size of a view, in mm."""
SKULL_SHARE = 0.4
"""Share of the pairs of heads with the skull."""
SHARED_LESION_SHARE = 0.2
MISALIGNED = 0.04
"""Standard deviation of the affine error of two aligned persons: of each entry of the linear part,
and of the shift relative to the field of view."""


@dataclass(frozen=True)
class PersonPair:
    """Images of two persons in M contrasts each, roughly aligned, with shared labels.

    `fixed` and `moving` are [M, X, Y, Z] in [0, 1]; contrast m of both comes from the same kind of
    scanner. The labels are [X, Y, Z] uint8, 0 where there is none.
    """

    fixed: Tensor
    moving: Tensor
    fixed_labels: Tensor
    moving_labels: Tensor


def draw_deformed_person(
    seed: int,
    person: Anatomy,
    shape: Sequence[int],
    *,
    contrasts: int = 1,
    voxels: tuple[float, float] | None = None,
    pairing: Pairing | None = None,
) -> SyntheticPair:
    """Draw two images of a person with a known displacement.

    The grids of both images view the anatomy at an angle, so that both are interpolated. `voxels`
    is the range of their voxel size in mm, by default that of the kind of anatomy. The labels are 1
    in the body and 0 outside.
    """
    random = Random(seed, person.labels.device)
    drawn = PAIRINGS[int(random.uniform(0, 1) < 0.5)]
    pairing = drawn if pairing is None else pairing
    appearance = _Appearance.draw(random, [person], contrasts)
    (labels,) = appearance.labels
    body = labels > 0 if person.ct is None else person.body()
    voxels = appearance.voxels if voxels is None else voxels
    view = draw_view(random, box_mm(body, person.spacing), shape, voxels)
    truth = draw_displacement(random, pairing, shape)
    index = seen_index(view, person.spacing, shape, random.device)
    linear = (view[:3, :3] / person.spacing[:, None]).float().to(random.device)
    deformed = index + torch.einsum("ij,bjxyz->bixyz", linear, truth)
    (images,) = appearance.images(random, [person])
    if random.uniform(0, 1) < SHARED_LESION_SHARE:
        images = with_lesion(random, images)
    ratio = pooling_ratio(view, person.spacing)
    moving, fixed = (
        appearance.acquire(random, sample_view(images, at, appearance.background, ratio))
        for at in (index, deformed)
    )
    moving_body, fixed_body = (
        sample_nearest(body[None, None].byte(), at)[0, 0] for at in (index, deformed)
    )
    return SyntheticPair(
        fixed=fixed,
        moving=moving,
        fixed_labels=fixed_body,
        moving_labels=moving_body,
        truth=truth[0],
        region="brain" if person.ct is None else "head",
        pairing=pairing,
    )


def draw_two_persons(
    seed: int,
    fixed: Anatomy,
    moving: Anatomy,
    shape: Sequence[int],
    *,
    contrasts: int = 1,
    voxels: tuple[float, float] | None = None,
) -> PersonPair:
    """Draw images of two persons on one grid, aligned by the centres of their labels with an error.

    Both persons are of the same kind: label maps of heads, or CT. `voxels` is the range of the
    voxel size in mm, by default that of the kind.
    """
    random = Random(seed, fixed.labels.device)
    persons = [fixed, moving]
    appearance = _Appearance.draw(random, persons, contrasts)
    body = appearance.labels[0] > 0 if fixed.ct is None else fixed.body()
    voxels = appearance.voxels if voxels is None else voxels
    view = draw_view(random, box_mm(body, fixed.spacing), shape, voxels)
    error = torch.eye(4, dtype=torch.float64)
    error[:3, :3] += MISALIGNED * random.randn(3, 3).cpu().double()
    last = torch.tensor(list(shape), dtype=torch.float64) - 1
    shift = MISALIGNED * last * random.randn(3).cpu().double()
    error[:3, 3] = shift + last / 2 - error[:3, :3] @ (last / 2)
    between = aligning_affine(fixed.centres, moving.centres)
    views = [view, between @ view @ error]
    sampled, labels = [], []
    for person, own, image, at in zip(
        persons, appearance.labels, appearance.images(random, persons), views, strict=True
    ):
        index = seen_index(at, person.spacing, shape, random.device)
        ratio = pooling_ratio(at, person.spacing)
        seen = sample_view(image, index, appearance.background, ratio)
        sampled.append(appearance.acquire(random, seen))
        labels.append(sample_nearest(own[None, None], index)[0, 0])
    return PersonPair(sampled[0], sampled[1], labels[0], labels[1])


@dataclass(frozen=True)
class _Appearance:
    """How the persons of a pair look in M contrasts.

    `labels` [X, Y, Z] are those of each person that are shown. `values` [M, K] are the value of
    each label or, for CT, of each knot of the curves, and `background` [M] is that of air.
    """

    labels: list[Tensor]
    values: Tensor
    background: Tensor
    voxels: tuple[float, float]
    is_ct: bool

    @classmethod
    def draw(cls, random: Random, persons: Sequence[Anatomy], contrasts: int) -> _Appearance:
        """Draw the contrasts, and whether heads have a skull."""
        labels = [person.labels for person in persons]
        if persons[0].ct is not None:
            curves = draw_curves(random, contrasts)
            return cls(labels, curves, curves[:, 0], CT_VOXELS, True)
        if random.uniform(0, 1) >= SKULL_SHARE:
            labels = [without_skull(random, one) for one in labels]
        values = draw_values(random, contrasts)
        return cls(labels, values, values[:, 0], HEAD_VOXELS, False)

    def images(self, random: Random, persons: Sequence[Anatomy]) -> list[Tensor]:
        """Return the images [M, X, Y, Z] of each person on the grid of the anatomy."""
        return [
            label_contrasts(random, labels, self.values)
            if person.ct is None
            else ct_contrasts(person.ct, self.values)
            for person, labels in zip(persons, self.labels, strict=True)
        ]

    def acquire(self, random: Random, images: Tensor) -> Tensor:
        """Return images [M, X, Y, Z] as acquired."""
        return torch.stack(
            [acquired(random, image, self.is_ct and m == 0) for m, image in enumerate(images)]
        )
