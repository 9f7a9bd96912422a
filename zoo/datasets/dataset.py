"""A dataset of pairs: its images, what lies on their grids, and which go together."""

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
    """An image and what lies on its grid, named relative to the dataset's folder."""

    image: str
    split: Split
    labels: str | None = None
    mask: str | None = None
    points: str | None = None


@dataclass(frozen=True)
class NamedPair:
    """Two images of a dataset, by their names."""

    fixed: str
    moving: str
    split: Split


@dataclass(frozen=True)
class Dataset:
    """What a dataset's file lists, and the `problems` that reading it showed.

    `modality` is as declared, by slot; a slot is the last number of NAME_CASE_SLOT. `items` and
    `pairs_listed` keep the file's order and its repetitions.
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
        """The items by the names of their images; of a repeated one the fullest."""
        out: dict[str, Item] = {}
        for item in self.items:
            old = out.get(item.image)
            if old is None or _fullness(item) > _fullness(old):
                out[item.image] = item
        return out

    @cached_property
    def files(self) -> list[str]:
        """Every file that is named, once."""
        names = [n for i in self.items for n in (i.image, i.labels, i.mask, i.points) if n]
        return list(dict.fromkeys(names))

    @cached_property
    def named_pairs(self) -> tuple[NamedPair, ...]:
        """The pairs: those listed, or in a split that lists none those that follow from its images.

        Two slots of one case are a pair; with one slot only, each image goes with the next one.
        """
        out = list(dict.fromkeys(self.pairs_listed))
        for split in SPLITS:
            if not any(pair.split == split for pair in out):
                out += self._implied_pairs(split)
        return tuple(out)

    def pairs(self, split: str = "val") -> list[dict[str, Any]]:
        """Return the pairs of a split as mappings with whole paths, as `pair_files` takes them.

        A dataset that names files wrongly is refused: a run on fewer pairs than meant is no run.
        """
        if split not in (*SPLITS, "all"):
            raise UserError(f"split {split!r} is not known; use {', '.join(SPLITS)} or all")
        for problem in self.problems:
            if problem.level == "error":
                raise UserError(
                    f"{self.file}: {problem}; regzoo check {self.root} tells everything"
                )
        found = [pair for pair in self.named_pairs if split in (pair.split, "all")]
        if not found:
            there = ", ".join(s for s in SPLITS if any(p.split == s for p in self.named_pairs))
            raise UserError(
                f"{self.file} has no pairs in the split {split!r}; there are {there or 'none'}"
            )
        return [self.mapping(pair) for pair in found]

    def slot(self, image: str) -> str:
        """Return the modality slot of an image: from its name, else from its part in the pairs."""
        named = slot_of(image)
        return named or ("1" if image in self._only_moving else "0")

    def slots(self) -> dict[str, list[str]]:
        """Return the images of each slot, in the order of their names."""
        out: dict[str, list[str]] = {}
        for image in sorted(self.by_image):
            out.setdefault(self.slot(image), []).append(image)
        return dict(sorted(out.items()))

    @cached_property
    def _only_moving(self) -> set[str]:
        return {p.moving for p in self.pairs_listed} - {p.fixed for p in self.pairs_listed}

    def _implied_pairs(self, split: Split) -> Iterator[NamedPair]:
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
        """Return a pair as `pair_files` takes it, with whole paths."""
        out: dict[str, Any] = {"points_space": self.points_space}
        for side in SIDES:
            item = self.by_image[getattr(pair, side)]
            path = str(self.root / item.image)
            out[side] = [path] if side == "moving" else path
            for kind in ("labels", "mask", "points"):
                name = getattr(item, kind)
                out[f"{side}_{kind}"] = None if name is None else str(self.root / name)
        return out


def _fullness(item: Item) -> int:
    return sum(name is not None for name in (item.labels, item.mask, item.points))
