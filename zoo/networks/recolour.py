"""Recolouring of one image in the contrast of another, so that small networks compare modalities.

A registration network shifts edges along the intensity gradient, in opposite directions for
contrasts of equal and of opposite sign. A small network does not learn to tell these cases apart.
Recolouring settles the question beforehand with the joint histogram of both images.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BINS = 64
SIGMA, REACH = 1.5, 6  # of the Gaussian over the histogram, in bins
MOST_SAMPLES = 100_000
AIR = 3  # darkest bins, which are air and rank first in nearly all contrasts
ONE_CONTRAST = 0.98
"""Correlation of old and new ranks above which both images are taken to have one contrast."""


@torch.no_grad()
def recoloured(moving: Tensor, fixed: Tensor) -> Tensor:
    """Return `moving` [B, 1, X, Y, Z] in the contrast of `fixed`, on one grid, both in [0, 1].

    The intensities of the moving image are ranked by the mean intensity of the fixed image in the
    same voxels, and then mapped to the histogram of the fixed image. The moving image is returned
    unchanged if this ranking is the one that it already has, so that both have one contrast.
    """
    pairs = zip(moving, fixed, strict=True)
    return torch.stack(
        [mapped(a, recolouring_curve(a.cpu().float(), b.cpu().float()).to(a)) for a, b in pairs]
    )


def recolouring_curve(moving: Tensor, fixed: Tensor) -> Tensor:
    """Return the new values of `BINS` evenly spaced intensities of the moving image.

    Both images are on the CPU, where sums in double precision are available and reproducible.
    """
    low, share = _bins(moving.flatten())
    values = fixed.flatten()
    count = _spread(low, share, torch.ones_like(values))
    total = _spread(low, share, values)
    order = (_blurred(total) / _blurred(count).clamp_min(1e-6)).argsort(stable=True)
    rank = _ranks(count, order)
    if _correlation(_ranks(count, torch.arange(BINS)), rank, count) > ONE_CONTRAST:
        return torch.linspace(0, 1, BINS)
    step = values.numel() // MOST_SAMPLES | 1  # odd, so that the samples do not align with the rows
    return torch.quantile(values[::step], rank.clamp(0, 1).to(values))


def _ranks(count: Tensor, order: Tensor) -> Tensor:
    """Return the rank in [0, 1] of the middle of each bin when the bins are sorted by `order`."""
    rank = torch.empty_like(count)
    rank[order] = (count[order].cumsum(0) - count[order] / 2) / count.sum()
    return rank


def _correlation(one: Tensor, two: Tensor, weight: Tensor) -> float:
    """Return the weighted correlation over the bins above air; 1 if one of them is constant."""
    one, two, weight = one[AIR:], two[AIR:], weight[AIR:] / weight[AIR:].sum().clamp_min(1e-9)
    a, b = one - (weight * one).sum(), two - (weight * two).sum()
    spread = float(((weight * a**2).sum() * (weight * b**2).sum()).sqrt())
    return float((weight * a * b).sum()) / spread if spread > 1e-12 else 1.0


def mapped(image: Tensor, new: Tensor) -> Tensor:
    """Apply a curve of `BINS` new values to an image in [0, 1], linearly between the bins."""
    low, share = _bins(image)
    return torch.lerp(new[low], new[low + 1], share)


def _bins(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the bin below each value and the distance from it, as a fraction of a bin."""
    position = values.clamp(0, 1) * (BINS - 1)
    low = position.floor().clamp(max=BINS - 2)
    return low.long(), position - low


def _spread(low: Tensor, share: Tensor, amount: Tensor) -> Tensor:
    """Sum `amount` into the bins: the fraction `share` into bin low + 1, the rest into bin low."""
    out = torch.zeros(BINS, dtype=torch.float64)
    out.index_add_(0, low, (amount * (1 - share)).double())
    return out.index_add_(0, low + 1, (amount * share).double())


def _blurred(counts: Tensor) -> Tensor:
    offsets = torch.arange(-REACH, REACH + 1, dtype=counts.dtype)
    taps = torch.exp(-((offsets / SIGMA) ** 2) / 2)
    return F.conv1d(counts[None, None], taps[None, None], padding=REACH)[0, 0]
