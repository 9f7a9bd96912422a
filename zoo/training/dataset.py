"""What training sees: an endless, numbered sequence of prepared pairs from one or more datasets.

Item n of a sequence depends on the seed and on n alone. So a run that was stopped goes on as if it
had not been, and any number of processes or workers share the items without repeating one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from zoo.datasets.pairs import Pair, PairFiles, load_pair
from zoo.errors import UserError
from zoo.geometry import Transform, warp
from zoo.io.volume import Volume
from zoo.registration.axis_order import reordered
from zoo.registration.working_pair import WorkingPair
from zoo.solvers.affine import AffineAlignment
from zoo.training.augmentation import RandomView
from zoo.training.source import TrainingSource

SourceOrder = Literal["random", "round robin"]


@dataclass(frozen=True)
class Prepared:
    """A pair as the network sees it: `image` [2, X, Y, Z], moving then fixed, axes in its order.

    `labels` are shaped like it (int32); `mask` [1, X, Y, Z] is 1 where both images show something.
    """

    name: str
    image: Tensor
    labels: Tensor | None
    mask: Tensor | None


class TrainingPairs(Dataset[dict[str, Any]]):
    """Item n is a pair drawn from one of `sources`, prepared and, with `augment`, seen at random.

    `order` says whose turn it is: "random", by the weights of the sources, or "round robin", where
    each comes up as often as its weight says and evenly spread. `labels` is how many of the labels
    that a pair shares are drawn for it (0: its label maps are not read), and `masks` asks for where
    both images show something. Prepared pairs are kept in memory up to `cache_mib`.
    """

    def __init__(
        self,
        sources: Sequence[TrainingSource],
        *,
        seed: int = 0,
        order: SourceOrder = "random",
        augment: bool = True,
        labels: int = 0,
        masks: bool = False,
        cache_mib: int = 4096,
    ) -> None:
        if not sources:
            raise UserError("training needs at least one source of pairs")
        if order not in ("random", "round robin"):
            raise UserError(f"order {order!r} is not known; use random or round robin")
        self.sources = list(sources)
        self.seed = seed
        self.order = order
        self.augment = augment
        self.labels = labels
        self.masks = masks
        self.starts: dict[tuple[int, PairFiles], AffineAlignment | None] = {}
        self.kept = Kept(cache_mib << 20)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return item `index`: name, image, task and, where there are any, the loss's images."""
        random = np.random.default_rng([self.seed, index])
        source = self.sources[self._turn(index, random)]
        draft = source.draw(random)
        seen = self._prepared(source, draft.seen)
        compared = seen if draft.compared is None else self._prepared(source, draft.compared)
        labels = _some(seen.labels, self.labels, random)
        parts = {"image": seen.image, "mask": seen.mask, "labels": labels}
        if draft.compared is not None:
            parts["loss_image"] = compared.image
        if self.augment:
            view = RandomView.draw(random, seen.image.shape[1:])
            parts = {name: _viewed(view, name, part) for name, part in parts.items()}
        found = {name: part for name, part in parts.items() if part is not None}
        return {"name": seen.name, "index": index, "task": source.task, **found}

    def _turn(self, index: int, random: np.random.Generator) -> int:
        weights = np.array([source.weight for source in self.sources])
        if self.order == "random":
            return int(random.choice(len(weights), p=weights / weights.sum()))
        return int(self._round[index % len(self._round)])

    @cached_property
    def _round(self) -> list[int]:
        """One round of turns: source k has the n-th of its w turns (n + 1/2) / w of the way."""
        weights = [round(source.weight) for source in self.sources]
        turns = [((n + 0.5) / w, k) for k, w in enumerate(weights) for n in range(w)]
        return [k for _, k in sorted(turns)]

    def _prepared(self, source: TrainingSource, files: PairFiles) -> Prepared:
        return self.kept.get((id(source), files), lambda: self._prepare(source, files))

    def _prepare(self, source: TrainingSource, files: PairFiles) -> Prepared:
        if not self.labels:
            files = replace(files, fixed_labels=None, moving_labels=None)
        pair = load_pair(replace(files, fixed_points=None, moving_points=None))
        inferer = source.inferer
        key = id(source), replace(files, fixed_labels=None, moving_labels=None)
        if key not in self.starts:
            self.starts[key] = inferer.initial_alignment(pair)
        work = inferer.prepare(pair, self.starts[key])
        order = inferer.axis_order(work.grid)
        labels = _labels(pair, work)
        mask = _content(pair, work) if self.masks else None
        return Prepared(
            pair.name,
            reordered(work.image, order)[0].cpu(),
            None if labels is None else reordered(labels[None], order)[0],
            None if mask is None else reordered(mask[None], order)[0],
        )


class Kept:
    """The last things asked for, up to a number of bytes in all."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0
        self.things: OrderedDict[Any, Prepared] = OrderedDict()

    def get(self, key: Any, make: Any) -> Prepared:
        """Return what is kept under `key`, or make it."""
        if key in self.things:
            self.things.move_to_end(key)
            return self.things[key]
        made: Prepared = make()
        self.things[key] = made
        self.held += _bytes(made)
        while self.held > self.most and self.things:
            self.held -= _bytes(self.things.popitem(last=False)[1])
        return made


def _bytes(prepared: Prepared) -> int:
    parts = (prepared.image, prepared.labels, prepared.mask)
    return sum(part.nbytes for part in parts if part is not None)


def _labels(pair: Pair, work: WorkingPair) -> Tensor | None:
    """Return the labels [2, X, Y, Z] of the moving and the fixed image where the network reads."""
    if pair.moving_labels is None or pair.fixed_labels is None:
        return None

    def read(labels: Volume, affine: Tensor) -> Tensor:
        whole = labels.data[None].int()
        return warp(whole, labels.grid, work.grid, Transform(affine), interpolation="nearest")

    identity = torch.eye(4, dtype=torch.float64)
    return torch.cat([read(pair.moving_labels, work.affine), read(pair.fixed_labels, identity)])


def _some(labels: Tensor | None, most: int, random: np.random.Generator) -> Tensor | None:
    """Keep of two label maps [2, X, Y, Z] some labels that both have, `most` at most."""
    if labels is None:
        return None
    shared = sorted(set(labels[0].unique().tolist()) & set(labels[1].unique().tolist()) - {0})
    drawn = torch.from_numpy(random.permutation(shared)[:most].astype(np.int32))
    return torch.where(torch.isin(labels, drawn), labels, 0)


def _content(pair: Pair, work: WorkingPair) -> Tensor:
    """Return 1 where the fixed image's voxels lie in the moving image and in both masks."""
    if work.masks is not None:
        return work.masks[0].prod(0, keepdim=True).cpu()
    grid = pair.moving[0].grid
    ones = torch.ones(1, *grid.shape)
    return warp(ones, grid, work.grid, Transform(work.affine), interpolation="nearest")


def _viewed(view: RandomView, name: str, part: Tensor | None) -> Tensor | None:
    """Look at [2, ...] (moving, fixed) or at a mask [1, ...], which lies in the fixed image."""
    if part is None:
        return None
    look = view.labels if name in ("labels", "mask") else view.image
    if len(part) == 1:
        return look(part, 1)
    return torch.cat([look(part[:1], 0), look(part[1:], 1)])


class Endless(Sampler[int]):
    """The numbers of the items: those of this process among `processes`, from `start` on.

    With a batch of b, step n of p processes takes the items n p b to (n + 1) p b - 1, process r its
    b of them: what one process would take with a batch of p b.
    """

    def __init__(self, batch: int = 1, rank: int = 0, processes: int = 1) -> None:
        self.batch, self.rank, self.processes = batch, rank, processes
        self.step = 0

    def __iter__(self) -> Iterator[int]:
        for step in count(self.step):
            first = (step * self.processes + self.rank) * self.batch
            yield from range(first, first + self.batch)


def collate(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Stack the items' tensors; names are listed, and the task is that of all of them."""
    first = items[0]
    if any(item["task"] != first["task"] for item in items):
        raise UserError("pairs of several tasks cannot share a batch; use a batch size of 1")
    out: dict[str, Any] = {"task": first["task"], "names": [item["name"] for item in items]}
    for key, value in first.items():
        if isinstance(value, Tensor) and all(key in item for item in items):
            out[key] = torch.stack([item[key] for item in items])
    return out
