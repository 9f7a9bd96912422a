"""Votes of label maps on one grid, voxel by voxel, with bounded memory.

The label maps and the weights of all voters lie in scratch files. The votes are counted slab by
slab, so that memory holds a slab of every voter and never an array with one entry per label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from zoo.geometry import Grid
from zoo.geometry.transform import slabs

SLAB_VALUES = 1 << 22
"""Voxels times voters that are counted at a time."""


@dataclass(frozen=True)
class Vote:
    """The outcome of a vote: the labels [X, Y, Z] and their share of all weights, from 0 to 1."""

    labels: Tensor
    confidence: Tensor


class LabelVotes:
    """The label maps of several voters, and their weights.

    Args:
        grid: The grid of all label maps.
        folder: An existing folder for scratch files, which the caller removes.
    """

    def __init__(self, grid: Grid, folder: Path) -> None:
        self.grid = grid
        self.folder = folder
        self._labels: list[np.memmap] = []
        self._weights: list[np.memmap] = []

    def add(self, labels: Tensor, weights: Tensor) -> None:
        """Add a voter: labels [X, Y, Z], and weights [X, Y, Z], which are 0 where it has no vote.

        Labels are whole numbers of 32 bits.
        """
        number = len(self._labels)
        self._labels.append(self._stored(f"labels{number}", labels.to(torch.int32)))
        self._weights.append(self._stored(f"weights{number}", weights.float()))

    def labels_of(self, voter: int) -> Tensor:
        """Return the label map of a voter, [X, Y, Z] int32."""
        return torch.from_numpy(np.array(self._labels[voter]))

    def weighted(self) -> Vote:
        """Return the label with the largest sum of weights at each voxel."""
        return self._count(equal=False)

    def majority(self) -> Vote:
        """Return the label with the most votes at each voxel, whatever the weights.

        If labels have equally many votes, the smallest one wins.
        """
        return self._count(equal=True)

    def _count(self, *, equal: bool) -> Vote:
        labels = torch.zeros(self.grid.shape, dtype=torch.int32)
        confidence = torch.zeros(self.grid.shape)
        for start, stop in slabs(self.grid, SLAB_VALUES // max(1, len(self._labels))):
            candidates, weights = (
                torch.from_numpy(np.stack([stored[start:stop] for stored in kind]))
                for kind in (self._labels, self._weights)
            )
            weights = (weights > 0).float() if equal else weights
            labels[start:stop], confidence[start:stop] = count_votes(candidates, weights)
        return Vote(labels, confidence)

    def _stored(self, name: str, values: Tensor) -> np.memmap:
        array = values.cpu().numpy()
        stored = np.memmap(self.folder / name, dtype=array.dtype, mode="w+", shape=array.shape)
        stored[:] = array
        return stored


def count_votes(labels: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the winners and their share of the weights: [...] for `labels` and `weights` [N, ...].

    The candidates of a voxel are the labels of its voters. Of labels with equal sums, the smallest
    wins. Without any vote the label is 0 and its share 0.
    """
    best = torch.zeros_like(labels[0])
    most = torch.zeros_like(weights[0])
    for candidate in labels:
        total = torch.where(labels == candidate, weights, 0.0).sum(dim=0)
        wins = (total > most) | ((total == most) & (total > 0) & (candidate < best))
        best = torch.where(wins, candidate, best)
        most = torch.where(wins, total, most)
    return best, most / weights.sum(dim=0).clamp_min(torch.finfo(torch.float32).tiny)


def labels_with_one_voter(label_sets: Sequence[set[int]]) -> set[int]:
    """Return the labels other than 0 that only one of several label maps has."""
    union = set().union(*label_sets) - {0}
    return {label for label in union if sum(label in labels for labels in label_sets) == 1}
