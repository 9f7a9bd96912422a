"""The subjects of a training: shapes, and persons rendered from their anatomy, in the mixture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import torch
from torch import Tensor

from compact.anatomy import People
from compact.crops import uniform
from compact.recipes import Mixture
from zoo.synthesis.anatomies import Anatomy
from zoo.synthesis.rendered_pairs import PersonPair, draw_deformed_person, draw_two_persons
from zoo.synthesis.subjects import SyntheticPair, draw_pair

WHOLE_MM = {"heads": (150.0, 250.0), "ct": (200.0, 550.0)}
"""Range of the field of view that shows a person from head to neck, in mm."""


@dataclass(frozen=True)
class Subject:
    """What to draw: "shapes", "heads" or "ct"; of persons, two or one that is deformed."""

    source: str
    two: bool = False


def draw_subject(mixture: Mixture, generator: torch.Generator) -> Subject:
    """Draw what the next subject is rendered from, with the shares of the mixture."""
    draw = float(torch.rand(1, generator=generator))
    kinds = (Subject("heads"), Subject("ct"), Subject("heads", True), Subject("ct", True))
    for kind, share in zip(kinds, astuple(mixture), strict=True):
        draw -= share
        if draw < 0:
            return kind
    return Subject("shapes")


def draw_known(
    seed: int,
    source: str,
    size: Sequence[int],
    people: People,
    *,
    contrasts: int,
    clean: bool = False,
    layered: bool = False,
    whole: bool = False,
    device: str = "cpu",
) -> SyntheticPair:
    """Draw a pair with a known displacement; `clean` and `layered` concern shapes alone.

    If `whole`, a person is shown from head to neck.
    """
    if source == "shapes":
        region = "brain" if layered else None
        return draw_pair(
            seed,
            size,
            contrasts=contrasts,
            region=region,
            clean=clean,
            layered=layered,
            device=device,
        )
    person, _ = _two(seed, people.heads if source == "heads" else people.cts)
    voxels = whole_voxels(source, size) if whole else None
    return draw_deformed_person(seed, person, size, contrasts=contrasts, voxels=voxels)


def draw_persons(
    seed: int,
    source: str,
    size: Sequence[int],
    people: People,
    *,
    contrasts: int,
    whole: bool = False,
) -> PersonPair:
    """Draw images of two different persons; if `whole`, from head to neck."""
    first, second = _two(seed, people.heads if source == "heads" else people.cts)
    voxels = whole_voxels(source, size) if whole else None
    return draw_two_persons(seed, first, second, size, contrasts=contrasts, voxels=voxels)


def whole_voxels(source: str, size: Sequence[int]) -> tuple[float, float]:
    """Return the range of the voxel size in mm with which a grid shows most or all of a person."""
    smallest, largest = WHOLE_MM[source]
    return smallest / size[0], largest / size[0]


def whole_batch(
    pair: SyntheticPair | PersonPair, same_contrast_share: float, generator: torch.Generator
) -> dict[str, Tensor]:
    """Return the images of a pair for an objective: random contrasts, and a common one to compare.

    They are [1, 1, X, Y, Z]. One person adds the "truth"; two add their labels if they share any.
    """
    first, second, common = torch.randint(len(pair.fixed), (3,), generator=generator).tolist()
    if uniform(generator) < same_contrast_share:
        second = first
    batch = {
        "fixed": pair.fixed[first],
        "moving": pair.moving[second],
        "fixed_loss": pair.fixed[common],
        "moving_loss": pair.moving[common],
    }
    if isinstance(pair, SyntheticPair):
        batch = {name: image[None, None] for name, image in batch.items()}
        return {**batch, "truth": pair.truth[None]}
    labels = [set(one.unique().tolist()) - {0} for one in (pair.fixed_labels, pair.moving_labels)]
    if labels[0] & labels[1]:
        batch |= {"fixed_labels": pair.fixed_labels, "moving_labels": pair.moving_labels}
    return {name: image[None, None] for name, image in batch.items()}


def _two(seed: int, persons: Sequence[Anatomy]) -> tuple[Anatomy, Anatomy]:
    """Return two different persons that the seed decides."""
    generator = torch.Generator().manual_seed(seed ^ 0x9E0)
    first, second = torch.randperm(len(persons), generator=generator)[:2].tolist()
    return persons[first], persons[second]
