"""A dataset of image pairs: its images, their annotations, and which images form pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from zoo.datasets.names import case_of, slot_of
from zoo.datasets.problems import Problem
from zoo.errors import UserError
from zoo.io.points import Space

Split = Literal["train", "val", "test"]
Pairing = Literal["intra", "inter"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
SIDES = ("fixed", "moving")


@dataclass(frozen=True)
class Item:
    """An image with its annotations; paths are relative to the dataset's folder."""

    image: str
    split: Split
    labels: str | None = None
    mask: str | None = None
    points: str | None = None


@dataclass(frozen=True)
class NamedPair:
    """Two images of a dataset that form a pair; paths are relative to its folder."""

    fixed: str
    moving: str
    split: Split


@dataclass(frozen=True)
class Dataset:
    """The contents of a dataset's file, and the problems that were found while reading it.

    `modality` maps a slot to its declared modality; a slot is the last number of NAME_CASE_SLOT.
    `items` and `pairs_listed` keep the order and the repetitions of the file. `points_space` is the
    coordinate space of all key points, `fixed_slot` the slot of the fixed images, and `counts` maps
    the name of a number in the file to (declared, listed).
    """

    root: Path
    file: Path
    name: str
    items: tuple[Item, ...]
    pairs_listed: tuple[NamedPair, ...]
    modality: Mapping[str, str] = field(default_factory=dict)
    anatomy: str | None = None
    pairing: Pairing | None = None
    label_names: Mapping[int, str] = field(default_factory=dict)
    points_space: Space = "voxel"
    fixed_slot: str = "0"
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @cached_property
    def by_image(self) -> dict[str, Item]:
        """The items by image; of a repeated image, the item with the most annotations."""
        out: dict[str, Item] = {}
        for item in self.items:
            old = out.get(item.image)
            if old is None or _annotation_count(item) > _annotation_count(old):
                out[item.image] = item
        return out

    @cached_property
    def files(self) -> list[str]:
        """Every file of the dataset, without repetitions."""
        names = [n for i in self.items for n in (i.image, i.labels, i.mask, i.points) if n]
        return list(dict.fromkeys(names))

    @cached_property
    def named_pairs(self) -> tuple[NamedPair, ...]:
        """All pairs: those listed and, for a split without any, those implied by its images.

        If some cases have several slots, the slots of a case form pairs; otherwise each image forms
        a pair with the next one.
        """
        out = list(dict.fromkeys(self.pairs_listed))
        for split in SPLITS:
            if not any(pair.split == split for pair in out):
                out += self._implied_pairs(split)
        return tuple(out)

    def pairs(self, split: str = "val") -> list[dict[str, Any]]:
        """Return the pairs of a split as arguments of `pair_files`, with complete paths.

        Any error in the list of files is raised, so that no pair is left out silently.
        """
        if split not in (*SPLITS, "all"):
            raise UserError(f"split {split!r} is not known; use {', '.join(SPLITS)} or all")
        for problem in self.problems:
            if problem.level == "error":
                raise UserError(
                    f"{self.file}: {problem}; for a full list run regzoo check {self.root}"
                )
        selected = [pair for pair in self.named_pairs if split in (pair.split, "all")]
        if not selected:
            others = ", ".join(s for s in SPLITS if any(p.split == s for p in self.named_pairs))
            raise UserError(
                f"{self.file} has no pairs in the split {split!r}; "
                f"the splits with pairs are {others or 'none'}"
            )
        return [self.mapping(pair) for pair in selected]

    def slot(self, image: str) -> str:
        """Return the modality slot of an image: from its name, or else from its role in pairs."""
        named = slot_of(image)
        return named or ("1" if image in self._only_moving else "0")

    def slots(self) -> dict[str, list[str]]:
        """Return the images of each slot, sorted by name."""
        out: dict[str, list[str]] = {}
        for image in sorted(self.by_image):
            out.setdefault(self.slot(image), []).append(image)
        return dict(sorted(out.items()))

    @cached_property
    def _only_moving(self) -> set[str]:
        return {p.moving for p in self.pairs_listed} - {p.fixed for p in self.pairs_listed}

    def _implied_pairs(self, split: Split) -> Iterator[NamedPair]:
        """Yield the pairs that the images of a split imply, see `named_pairs`."""
        images = sorted({item.image for item in self.items if item.split == split})
        cases: dict[str, list[str]] = {}
        for image in images:
            cases.setdefault(case_of(image), []).append(image)
        several = [group for group in cases.values() if len(group) > 1]
        if several:
            for group in several:
                group.sort(key=lambda image: self.slot(image) != self.fixed_slot)
                yield from (NamedPair(group[0], other, split) for other in group[1:])
        else:
            for fixed, moving in pairwise(images):
                yield NamedPair(fixed, moving, split)

    def mapping(self, pair: NamedPair) -> dict[str, Any]:
        """Return a pair as arguments of `pair_files`, with complete paths."""
        out: dict[str, Any] = {"points_space": self.points_space}
        for side in SIDES:
            item = self.by_image[getattr(pair, side)]
            path = str(self.root / item.image)
            out[side] = [path] if side == "moving" else path
            for kind in ("labels", "mask", "points"):
                name = getattr(item, kind)
                out[f"{side}_{kind}"] = None if name is None else str(self.root / name)
        return out


def _annotation_count(item: Item) -> int:
    return sum(name is not None for name in (item.labels, item.mask, item.points))
