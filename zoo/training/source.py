"""Which pairs of a dataset training draws, and who prepares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from zoo.datasets.dataset import Dataset, Item
from zoo.datasets.names import case_of
from zoo.datasets.pairs import PairFiles, pair_files
from zoo.datasets.reading import read_dataset
from zoo.datasets.scan import check_content
from zoo.errors import UserError
from zoo.registration.inferer import PairInferer

Draw = Literal["auto", "listed", "random"]


@dataclass(frozen=True)
class Draft:
    """A pair drawn for training: the files the network sees and, if others, those of the loss."""

    seen: PairFiles
    compared: PairFiles | None = None


class TrainingSource:
    """The pairs of one dataset that training draws from.

    `inferer` prepares them as it does for inference. `draw` says which: "listed" takes the pairs
    that the dataset lists or implies, "random" any two images of the split, "auto" the listed ones
    if there are any and any two otherwise. With `aligned` the images of one case show one geometry
    (co-registered contrasts of a patient): a pair is two cases, and the images that the network
    sees and those that the loss compares are four independent draws, the loss randomisation of
    multiGradICON. `weight` is the share of this source among several. `content` is the digest of
    the files that a plan was made for; `task` holds what the objective is told of every pair.
    """

    def __init__(
        self,
        folder: str | Path,
        inferer: PairInferer,
        *,
        split: str = "train",
        draw: Draw = "auto",
        aligned: bool = False,
        weight: float = 1.0,
        content: str | None = None,
        task: Mapping[str, Any] | None = None,
    ) -> None:
        if draw not in ("auto", "listed", "random"):
            raise UserError(f"draw {draw!r} is not known; use auto, listed or random")
        if weight <= 0:
            raise UserError(f"the weight {weight} of {folder} must be above 0")
        self.folder = folder
        self.inferer = inferer
        self.split = split
        self.choice = draw
        self.aligned = aligned
        self.weight = weight
        self.content = content
        self.task = dict(task or {})

    def draw(self, random: np.random.Generator) -> Draft:
        """Draw a pair."""
        if not self.aligned and self._listed:
            return Draft(self._listed[int(random.integers(len(self._listed)))])
        if not self.aligned:
            return Draft(self._pair(*self._two(self._images, random)))
        fixed, moving = self._two(self._cases, random)
        seen, compared = (
            self._pair(*(case[int(random.integers(len(case)))] for case in (fixed, moving)))
            for _ in range(2)
        )
        return Draft(seen, compared)

    @cached_property
    def _items(self) -> list[Item]:
        """The images of the split, by name."""
        dataset = self._dataset
        found = {i.image for i in dataset.items if self.split in (i.split, "all")}
        return [dataset.by_image[name] for name in sorted(found)]

    @cached_property
    def _dataset(self) -> Dataset:
        if self.content is not None:
            check_content(self.folder, self.content)
        return read_dataset(self.folder)

    @cached_property
    def _listed(self) -> list[PairFiles]:
        """The listed pairs; none where any two images are a pair."""
        if self.choice == "random":
            return []
        dataset = self._dataset
        pairs = [p for p in dataset.pairs_listed if self.split in (p.split, "all")]
        several = len({case_of(i.image) for i in self._items}) < len(self._items)
        if self.choice == "auto" and not pairs and not several:
            return []
        return [pair_files(**mapping) for mapping in dataset.pairs(self.split)]

    @cached_property
    def _images(self) -> tuple[list[Item], list[Item]]:
        """The fixed and the moving images: of two slots, where the dataset has them."""
        slots: dict[str, list[Item]] = {}
        for item in self._items:
            slots.setdefault(self._dataset.slot(item.image), []).append(item)
        fixed = slots.pop(self._dataset.fixed_slot, self._items)
        return fixed, [item for group in slots.values() for item in group] or fixed

    @cached_property
    def _cases(self) -> tuple[list[list[Item]], list[list[Item]]]:
        """The images of each case; a label map of one of them is that of all."""
        cases: dict[str, list[Item]] = {}
        for item in self._items:
            cases.setdefault(case_of(item.image), []).append(item)
        for group in cases.values():
            labels = next((item.labels for item in group if item.labels), None)
            group[:] = [replace(item, labels=item.labels or labels) for item in group]
        return list(cases.values()), list(cases.values())

    def _two(self, sides: tuple[Sequence[Any], Sequence[Any]], random: np.random.Generator) -> Any:
        """Draw one of each side, never the same."""
        fixed, moving = sides
        if len(fixed) + len(moving) < 2 or (fixed[0] is moving[0] and len(fixed) < 2):
            raise UserError(
                f"{self.folder} has fewer than two images to pair in the split {self.split!r}; "
                "training needs two or more"
            )
        first = fixed[int(random.integers(len(fixed)))]
        others = [other for other in moving if other is not first]
        return first, others[int(random.integers(len(others)))]

    def _pair(self, fixed: Item, moving: Item) -> PairFiles:
        root = self._dataset.root

        def path(name: str | None) -> Path | None:
            return None if name is None else root / name

        return PairFiles(
            root / fixed.image,
            (root / moving.image,),
            fixed_labels=path(fixed.labels),
            moving_labels=path(moving.labels),
            fixed_mask=path(fixed.mask),
            moving_mask=path(moving.mask),
        )
