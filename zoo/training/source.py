"""The sources of training pairs: which pairs of a dataset are drawn."""

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
from zoo.training.preparation import PairPreparation

Draw = Literal["auto", "listed", "random"]


@dataclass(frozen=True)
class Draft:
    """A drawn pair: the files for the network, and the files for the loss if they differ."""

    network_files: PairFiles
    loss_files: PairFiles | None = None


class TrainingSource:
    """A dataset from which training draws pairs.

    `preparation` loads and prepares a pair that was drawn. `draw` selects the pairs: "listed" are
    the pairs that the dataset lists or implies, "random" any two images of the split, and "auto"
    the listed pairs if there are any, otherwise any two images.

    `aligned` states that the images of one case share one geometry (co-registered contrasts of a
    patient). A pair is then two cases, and the two images for the network and the two for the loss
    are four independent draws: the loss randomisation of multiGradICON.

    `weight` is the share of this source among several. `content` is the digest of the files that a
    plan was made for. `task` holds keyword arguments of the objective that are the same for every
    pair of this source.
    """

    def __init__(
        self,
        folder: str | Path,
        preparation: PairPreparation,
        *,
        split: str = "train",
        draw: Draw = "auto",
        aligned: bool = False,
        weight: float = 1.0,
        content: str | None = None,
        task: Mapping[str, Any] | None = None,
    ) -> None:
        if draw not in ("auto", "listed", "random"):
            raise UserError(f"draw {draw!r} is unknown; use auto, listed or random")
        if weight <= 0:
            raise UserError(f"the weight {weight} of the source {folder} must be greater than 0")
        self.folder = folder
        self.preparation = preparation
        self.split = split
        self.selection = draw
        self.aligned = aligned
        self.weight = weight
        self.content = content
        self.task = dict(task or {})

    def draw(self, random: np.random.Generator) -> Draft:
        """Draw the files of a pair."""
        if not self.aligned and self._listed:
            return Draft(self._listed[int(random.integers(len(self._listed)))])
        if not self.aligned:
            return Draft(self._files(*self._two(self._images, random)))
        fixed, moving = self._two(self._cases, random)
        network_files, loss_files = (
            self._files(*(case[int(random.integers(len(case)))] for case in (fixed, moving)))
            for _ in range(2)
        )
        return Draft(network_files, loss_files)

    @cached_property
    def _items(self) -> list[Item]:
        """The images of the split, sorted by name."""
        dataset = self._dataset
        names = {i.image for i in dataset.items if self.split in (i.split, "all")}
        return [dataset.by_image[name] for name in sorted(names)]

    @cached_property
    def _dataset(self) -> Dataset:
        if self.content is not None:
            check_content(self.folder, self.content)
        return read_dataset(self.folder)

    @cached_property
    def _listed(self) -> list[PairFiles]:
        """The listed pairs; an empty list if any two images are to be paired."""
        if self.selection == "random":
            return []
        dataset = self._dataset
        pairs = [p for p in dataset.pairs_listed if self.split in (p.split, "all")]
        several = len({case_of(i.image) for i in self._items}) < len(self._items)
        if self.selection == "auto" and not pairs and not several:
            return []
        return [pair_files(**mapping) for mapping in dataset.pairs(self.split)]

    @cached_property
    def _images(self) -> tuple[list[Item], list[Item]]:
        """The candidates for the fixed and the moving image, by slot if there are several."""
        slots: dict[str, list[Item]] = {}
        for item in self._items:
            slots.setdefault(self._dataset.slot(item.image), []).append(item)
        fixed = slots.pop(self._dataset.fixed_slot, self._items)
        return fixed, [item for group in slots.values() for item in group] or fixed

    @cached_property
    def _cases(self) -> tuple[list[list[Item]], list[list[Item]]]:
        """The images of each case, for either side; they share the label map of one of them."""
        cases: dict[str, list[Item]] = {}
        for item in self._items:
            cases.setdefault(case_of(item.image), []).append(item)
        for group in cases.values():
            labels = next((item.labels for item in group if item.labels), None)
            group[:] = [replace(item, labels=item.labels or labels) for item in group]
        return list(cases.values()), list(cases.values())

    def _two(self, sides: tuple[Sequence[Any], Sequence[Any]], random: np.random.Generator) -> Any:
        """Draw a candidate for each side, never the same one twice."""
        fixed, moving = sides
        if len(fixed) + len(moving) < 2 or (fixed[0] is moving[0] and len(fixed) < 2):
            raise UserError(
                f"{self.folder} has fewer than two images to pair in the split {self.split!r}; add "
                "images to the split, or choose another with --set train_split=NAME"
            )
        first = fixed[int(random.integers(len(fixed)))]
        rest = [candidate for candidate in moving if candidate is not first]
        return first, rest[int(random.integers(len(rest)))]

    def _files(self, fixed: Item, moving: Item) -> PairFiles:
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
