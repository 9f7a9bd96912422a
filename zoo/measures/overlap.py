"""Dice overlap of masks and label maps, in exact counts of voxels.

Two other definitions exist for a reason: `zoo.losses.soft_dice` is differentiable, and
`zoo.evaluation.learn2reg` reproduces the challenge, which decides differently on missing labels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

_LARGEST_TABLE = 1 << 20  # entries of a table of counts; labels that span more are handled singly


def dice(first: Tensor, second: Tensor) -> float | None:
    """Return the Dice overlap of two boolean masks [X, Y, Z], or None if both are empty."""
    total = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / total if total else None


def shared_labels(first: Tensor, second: Tensor) -> list[int]:
    """Return the labels other than 0 that occur in both label maps, in ascending order."""
    return sorted((_labels(first) & _labels(second)) - {0})


def dice_per_label(first: Tensor, second: Tensor, labels: Sequence[int]) -> dict[int, float | None]:
    """Return the Dice overlap of each of `labels` in two label maps [X, Y, Z].

    A label that occurs in neither map has None. The maps are read once, however many labels there
    are.
    """
    if not labels:
        return {}
    low, high = min(labels), max(labels)
    if high - low >= _LARGEST_TABLE:
        return {label: dice(first == label, second == label) for label in labels}

    def sizes(values: Tensor) -> list[int]:
        inside = values[(values >= low) & (values <= high)].long()
        return torch.bincount(inside - low, minlength=high - low + 1).tolist()

    common, one, two = sizes(first[first == second]), sizes(first), sizes(second)
    totals = {label: one[label - low] + two[label - low] for label in labels}
    return {
        label: 2 * common[label - low] / total if total else None for label, total in totals.items()
    }


def _labels(values: Tensor) -> set[int]:
    """Return the labels of a map; counting is several times faster than the sort of `unique`."""
    low, high = int(values.min()), int(values.max())
    if high - low >= _LARGEST_TABLE:
        return set(values.unique().tolist())
    counts = torch.bincount(values.flatten().long() - low)
    return set((counts.nonzero().flatten() + low).tolist())
