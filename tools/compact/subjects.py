"""The subjects of a training: shapes, and persons rendered from their anatomy, in the mixture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import torch

from compact.anatomy import People
from compact.recipes import Mixture
from zoo.synthesis.anatomies import Anatomy
from zoo.synthesis.rendered_pairs import PersonPair, draw_deformed_person, draw_two_persons
from zoo.synthesis.subjects import SyntheticPair, draw_pair


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
    device: str = "cpu",
) -> SyntheticPair:
    """Draw a pair with a known displacement; `clean` and `layered` concern shapes alone."""
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
    return draw_deformed_person(seed, person, size, contrasts=contrasts)


def draw_persons(
    seed: int, source: str, size: Sequence[int], people: People, *, contrasts: int
) -> PersonPair:
    """Draw images of two different persons."""
    first, second = _two(seed, people.heads if source == "heads" else people.cts)
    return draw_two_persons(seed, first, second, size, contrasts=contrasts)


def _two(seed: int, persons: Sequence[Anatomy]) -> tuple[Anatomy, Anatomy]:
    """Return two different persons that the seed decides."""
    generator = torch.Generator().manual_seed(seed ^ 0x9E0)
    first, second = torch.randperm(len(persons), generator=generator)[:2].tolist()
    return persons[first], persons[second]
