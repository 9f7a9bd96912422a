"""The shapes of a synthetic subject: structures in a body, drawn from smooth noise."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.synthesis.random_numbers import Random
from zoo.synthesis.regions import AIR, BONE, FLUID, GAS, GREY, LUNG, SOFT, VESSEL, WHITE, Region

MARGIN = 0.15
"""Width beyond each side of the field of view that is drawn as well, relative to its size.

The deformation moves parts of it into the field of view.
"""


def draw_structures(
    random: Random, region: Region, shape: Sequence[int], layered: bool
) -> tuple[Tensor, Tensor]:
    """Draw the structures of a subject.

    Returns the labels [X, Y, Z] uint8, 0 outside the body, and the tissue [L] of each label.
    """
    view = min(shape) / (1 + 2 * MARGIN)  # voxels of the field of view without the margin
    kinds = [kind for kind, count in region.tissues.items() for _ in range(count)]
    centres = 0.7 * (random.rand(len(kinds), 3) - 0.5)
    grid = _centred(shape, random.device)
    best = torch.full(tuple(shape), -torch.inf, device=random.device)
    labels = torch.zeros(tuple(shape), dtype=torch.uint8, device=random.device)
    for k, centre in enumerate(centres):
        # The distance from the centre lowers the score, so that a structure stays in one area.
        score = random.smooth(1, shape, random.uniform(*region.size) * view)[0]
        for axis in range(3):
            score -= 8 * (grid[axis] - centre[axis]) ** 2
        labels[score > best] = k + 1
        best = torch.maximum(best, score)
    tissues = torch.tensor(kinds, device=random.device)

    depth = _depth(random, region, grid, shape)
    if layered:
        return _in_layers(random, labels, depth, view)
    sheet = random.smooth(1, shape, random.uniform(0.05, 0.09) * view)[0]
    within = depth < random.uniform(0.15, 0.6) if random.uniform(0, 1) < 0.7 else depth > 0.2
    reach = region.folds * random.uniform(0.5, 1.5)
    labels[(sheet.abs() < reach) & within] = len(kinds) + 1
    extra = [VESSEL if GAS in region.tissues or LUNG in region.tissues else SOFT]
    if region.shell:
        labels[depth < region.shell * random.uniform(0.5, 1.5) / 0.4] = len(kinds) + 2
        extra.append(BONE)
    labels[depth < 0] = 0
    air = torch.tensor([AIR], device=random.device)
    return labels, torch.cat([air, tissues, torch.tensor(extra, device=random.device)])


def _in_layers(random: Random, core: Tensor, depth: Tensor, view: float) -> tuple[Tensor, Tensor]:
    """Wrap a core [X, Y, Z] of structures in grey matter and fluid; return labels and tissues."""
    count = int(core.max())
    sheet = random.smooth(1, core.shape, random.uniform(0.05, 0.12) * view)[0].abs()
    sheet = torch.where(depth < random.uniform(0.3, 0.8), sheet, torch.inf)  # no folds below
    rim, fold = random.uniform(0, 0.1), random.uniform(0.03, 0.3)
    below, beside = random.uniform(0.05, 0.2), random.uniform(0.15, 0.5)
    labels = core.clone()
    labels[(depth < rim + below) | (sheet < fold + beside)] = count + 1
    labels[(depth < rim) | (sheet < fold)] = count + 2
    labels[depth < 0] = 0
    draws = random.rand(count)
    tissues = torch.full((count + 3,), WHITE, device=random.device)
    tissues[1:-2][draws < 0.4] = GREY
    tissues[1:-2][draws < 0.15] = FLUID
    tissues[0], tissues[-2], tissues[-1] = AIR, GREY, FLUID
    return labels, tissues


def _centred(shape: Sequence[int], device: torch.device) -> list[Tensor]:
    """Return the coordinates along the three axes, each broadcastable to [X, Y, Z].

    They are relative to the field of view, with 0 at its centre.
    """
    axes = []
    for axis, n in enumerate(shape):
        view = [1, 1, 1]
        view[axis] = n
        axes.append((torch.linspace(-0.5, 0.5, n, device=device) * (1 + 2 * MARGIN)).view(view))
    return axes


def _depth(random: Random, region: Region, grid: list[Tensor], shape: Sequence[int]) -> Tensor:
    """Return the depth [X, Y, Z] in a body with a bumpy surface: 0 there, about 1 at the centre."""
    radius: Tensor = torch.zeros((), device=random.device)
    for axis in range(3):
        offset = random.uniform(-0.04, 0.04)
        radius = radius + ((grid[axis] - offset) / random.uniform(*region.body)).abs() ** 2.3
    bumps = random.smooth(1, shape, min(shape) / random.uniform(3, 8))[0]
    return 1 - radius ** (1 / 2.3) + 0.06 * bumps
