"""The training data: an endless, numbered sequence of prepared pairs from one or more datasets.

Item n depends on the seed and on n alone. A resumed run therefore sees the same items as a run
without interruption, and any number of processes or workers share the items without repetition.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import count
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from zoo.datasets.pairs import PairFiles
from zoo.errors import UserError
from zoo.training.augmentation import RandomView
from zoo.training.distributed import process_count, process_rank
from zoo.training.preparation import PreparedPair
from zoo.training.source import TrainingSource

SourceOrder = Literal["random", "round robin"]


class TrainingPairs(Dataset[dict[str, Any]]):
    """A map-style dataset whose item n is a pair drawn from one of `sources` and prepared.

    `order` chooses the source of an item: "random" draws it by the weights of the sources, "round
    robin" cycles through them, each as often as its weight says and evenly spread. `augment` shows
    every pair in a random view. `labels` is the number of shared labels that are drawn for a pair
    (0: label maps are not read); `masks` adds the mask of what both images show. Prepared pairs are
    cached in memory up to `cache_mib`.
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
            raise UserError("training needs at least one entry in train_sources")
        if order not in ("random", "round robin"):
            raise UserError(f"the order of sources {order!r} is unknown; use random or round robin")
        self.sources = list(sources)
        self.seed = seed
        self.order = order
        self.augment = augment
        self.labels = labels
        self.masks = masks
        self.cache = PairCache(cache_mib << 20)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return item `index`: name, index, task and image; mask, labels and loss_image if any."""
        random = np.random.default_rng([self.seed, index])
        source = self.sources[self._source_index(index, random)]
        draft = source.draw(random)
        pair = self._prepared(source, draft.network_files)
        labels = _drawn_labels(pair.labels, self.labels, random)
        parts = {"image": pair.image, "mask": pair.mask, "labels": labels}
        if draft.loss_files is not None:
            parts["loss_image"] = self._prepared(source, draft.loss_files).image
        if self.augment:
            view = RandomView.draw(random, pair.image.shape[1:])
            parts = {name: _viewed(view, name, part) for name, part in parts.items()}
        tensors = {name: part for name, part in parts.items() if part is not None}
        return {"name": pair.name, "index": index, "task": source.task, **tensors}

    def _source_index(self, index: int, random: np.random.Generator) -> int:
        """Return the number of the source that item `index` is drawn from."""
        if self.order == "random":
            weights = np.array([source.weight for source in self.sources])
            return int(random.choice(len(weights), p=weights / weights.sum()))
        return self._round[index % len(self._round)]

    @cached_property
    def _round(self) -> list[int]:
        """The sources of one round: turn n of a source of weight w is at (n + 1/2) / w of it."""
        weights = [round(source.weight) for source in self.sources]
        turns = [((n + 0.5) / w, k) for k, w in enumerate(weights) for n in range(w)]
        return [k for _, k in sorted(turns)]

    def _prepared(self, source: TrainingSource, files: PairFiles) -> PreparedPair:
        """Return a pair from the cache, or prepare it."""

        def prepare() -> PreparedPair:
            return source.preparation(files, labels=bool(self.labels), mask=self.masks)

        return self.cache.get((id(source), files), prepare)


class PairCache:
    """The most recently used pairs, up to a number of bytes in all."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.nbytes = 0
        self.pairs: OrderedDict[Any, PreparedPair] = OrderedDict()

    def get(self, key: Any, prepare: Callable[[], PreparedPair]) -> PreparedPair:
        """Return the pair under `key`; call `prepare` if it is not in the cache."""
        if key in self.pairs:
            self.pairs.move_to_end(key)
            return self.pairs[key]
        pair = prepare()
        self.pairs[key] = pair
        self.nbytes += pair.nbytes
        while self.nbytes > self.max_bytes and self.pairs:
            self.nbytes -= self.pairs.popitem(last=False)[1].nbytes
        return pair


def _drawn_labels(labels: Tensor | None, most: int, random: np.random.Generator) -> Tensor | None:
    """Keep at most `most` of the labels that both maps of [2, X, Y, Z] have; zero the others."""
    if labels is None:
        return None
    shared = sorted(set(labels[0].unique().tolist()) & set(labels[1].unique().tolist()) - {0})
    drawn = torch.from_numpy(random.permutation(shared)[:most].astype(np.int32))
    return torch.where(torch.isin(labels, drawn), labels, 0)


def _viewed(view: RandomView, name: str, part: Tensor | None) -> Tensor | None:
    """Return the view of [2, ...] (moving, fixed), or of a mask [1, ...] of the fixed image."""
    if part is None:
        return None
    view_of = view.labels if name in ("labels", "mask") else view.image
    if len(part) == 1:
        return view_of(part, 1)
    return torch.cat([view_of(part[:1], 0), view_of(part[1:], 1)])


class EndlessSampler(Sampler[int]):
    """A sampler without end: the item numbers of this process, starting at `step`.

    With batches of b items in p processes, step n takes the items n p b to (n + 1) p b - 1, and the
    process of rank r its own b of them. Together they are the batch of p b items that one process
    would take.
    """

    def __init__(
        self, batch: int = 1, rank: int | None = None, processes: int | None = None
    ) -> None:
        self.batch = batch
        self.rank = process_rank() if rank is None else rank
        self.processes = process_count() if processes is None else processes
        self.step = 0

    def __iter__(self) -> Iterator[int]:
        for step in count(self.step):
            first = (step * self.processes + self.rank) * self.batch
            yield from range(first, first + self.batch)


def collate(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a batch: tensors are stacked, names are listed, and the task is common to all items.

    A tensor that some items lack is left out.
    """
    first = items[0]
    if any(item["task"] != first["task"] for item in items):
        raise UserError(
            "pairs of different tasks cannot share a batch; set batch_size to 1, and raise "
            "accumulation for a larger effective batch"
        )
    batch: dict[str, Any] = {"task": first["task"], "names": [item["name"] for item in items]}
    for key, value in first.items():
        if isinstance(value, Tensor) and all(key in item for item in items):
            batch[key] = torch.stack([item[key] for item in items])
    return batch
