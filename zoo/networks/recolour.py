"""One image in the contrast of another: what a small network needs to compare two modalities.

A network that sees two images side by side moves along their slope, one way where both brighten
together, the other way where one darkens: which of the two holds is the first thing to learn
between contrasts, and a small network does not learn it. The joint histogram says it beforehand.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BINS = 64
SMOOTH, REACH = 1.5, 6  # bins
MOST_SAMPLES = 100_000
AIR = 3  # bins of next to nothing, whose rank is the first in nearly all contrasts
ONE_CONTRAST = 0.98
"""Correlation of the old and the new ranks above which two images show one contrast."""


@torch.no_grad()
def recoloured(moving: Tensor, fixed: Tensor) -> Tensor:
    """Return `moving` [B, 1, X, Y, Z] in the contrast of `fixed`, on one grid, both in [0, 1].

    The values of the moving image are put in the order of what the fixed one shows at the same
    places on average, and then take its histogram. Of two images of one contrast that order is the
    one that there is: then the moving image stays as it is.
    """
    pairs = zip(moving, fixed, strict=True)
    return torch.stack(
        [_mapped(a, curve(a.cpu().float(), b.cpu().float()).to(a)) for a, b in pairs]
    )


def curve(moving: Tensor, fixed: Tensor) -> Tensor:
    """Return the new value of each of `BINS` evenly spaced values of the moving image.

    On the CPU, where sums in doubles are at hand and come out the same each time.
    """
    low, share = _place(moving.flatten())
    values = fixed.flatten()
    count = _spread(low, share, torch.ones_like(values))
    total = _spread(low, share, values)
    order = (_blurred(total) / _blurred(count).clamp_min(1e-6)).argsort(stable=True)
    rank = _ranks(count, order)
    if _correlation(_ranks(count, torch.arange(BINS)), rank, count) > ONE_CONTRAST:
        return torch.linspace(0, 1, BINS)
    step = values.numel() // MOST_SAMPLES | 1  # odd, so that it does not fall in with the rows
    return torch.quantile(values[::step], rank.clamp(0, 1).to(values))


def _ranks(count: Tensor, order: Tensor) -> Tensor:
    """Return the share of the voxels that come before the middle of each bin, in an order."""
    rank = torch.empty_like(count)
    rank[order] = (count[order].cumsum(0) - count[order] / 2) / count.sum()
    return rank


def _correlation(one: Tensor, two: Tensor, weight: Tensor) -> float:
    """Return the correlation over the bins above air, weighted; 1 where nothing differs."""
    one, two, weight = one[AIR:], two[AIR:], weight[AIR:] / weight[AIR:].sum().clamp_min(1e-9)
    a, b = one - (weight * one).sum(), two - (weight * two).sum()
    spread = float(((weight * a**2).sum() * (weight * b**2).sum()).sqrt())
    return float((weight * a * b).sum()) / spread if spread > 1e-12 else 1.0


def _mapped(image: Tensor, new: Tensor) -> Tensor:
    low, share = _place(image)
    return torch.lerp(new[low], new[low + 1], share)


def _place(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the bin below each value and how far it is to the next one."""
    at = values.clamp(0, 1) * (BINS - 1)
    low = at.floor().clamp(max=BINS - 2)
    return low.long(), at - low


def _spread(low: Tensor, share: Tensor, amount: Tensor) -> Tensor:
    """Return how much of `amount` falls to each bin."""
    out = torch.zeros(BINS, dtype=torch.float64)
    out.index_add_(0, low, (amount * (1 - share)).double())
    return out.index_add_(0, low + 1, (amount * share).double())


def _blurred(counts: Tensor) -> Tensor:
    away = torch.arange(-REACH, REACH + 1, dtype=counts.dtype)
    taps = torch.exp(-((away / SMOOTH) ** 2) / 2)
    return F.conv1d(counts[None, None], taps[None, None], padding=REACH)[0, 0]
