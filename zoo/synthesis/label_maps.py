"""Random MR contrasts of label maps of heads, in the manner of SynthSeg and SynthMorph.

The labels are those of FreeSurfer; codes from 200 on are tissue outside the brain.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.synthesis.anatomies import LABELS
from zoo.synthesis.random_numbers import Random

OUTSIDE = 200
"""Labels from here on are outside the brain: skull, muscle, fat, eyes, air."""
CSF = 24
LEFT_OF_RIGHT = {
    **{41: 2, 42: 3, 43: 4, 44: 5, 46: 7, 47: 8, 49: 10, 50: 11, 51: 12, 52: 13},
    **{53: 17, 54: 18, 57: 25, 58: 26, 60: 28, 62: 30},
}
"""The left structure that has the same tissue as a right one."""
TISSUES = {
    "fluid": (4, 5, 14, 15, CSF),
    "grey": (3, 8, 10, 11, 12, 13, 17, 18, 26),
    "white": (2, 7, 16, 28, 85),
}
SIMILAR_SHARE = 0.5
"""Share of the contrasts in which the structures of one tissue have similar values."""


def without_skull(random: Random, labels: Tensor) -> Tensor:
    """Return labels [X, Y, Z] without the tissue outside the brain and, half of the time, CSF."""
    brain = labels < OUTSIDE
    if random.uniform(0, 1) < 0.5:
        brain &= labels != CSF
    return labels * brain


def draw_values(random: Random, contrasts: int) -> Tensor:
    """Draw the mean value [M, 256] of each label in M contrasts, in [0, 1]."""
    values = 0.05 + 0.95 * random.rand(contrasts, LABELS)
    for m in range(contrasts):
        if random.uniform(0, 1) < SIMILAR_SHARE:
            own = random.uniform(0.05, 0.4)
            for labels in TISSUES.values():
                members = list(labels)
                values[m, members] = own * values[m, members] + (1 - own) * random.uniform(0.05, 1)
    for right, left in LEFT_OF_RIGHT.items():
        values[:, right] = values[:, left]
    values[:, 0] = 0
    return values


def label_contrasts(random: Random, labels: Tensor, values: Tensor) -> Tensor:
    """Return images [M, X, Y, Z] of a label map, with the given values [M, 256] and texture."""
    size = min(labels.shape) * random.uniform(0.02, 0.06)
    texture = random.uniform(0, 0.08) * random.smooth(1, labels.shape, size)
    texture = texture * (labels > 0)
    codes = labels.long()
    return torch.stack([value[codes] for value in values]) + texture
