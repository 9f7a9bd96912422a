"""Whether two roughly aligned images are of one contrast, as local correlation requires."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from zoo.solvers.fluid.steps import FAINT_VARIANCE, LevelImages, TorchSteps, windows

LEAST_MEAN = 0.5
LEAST_LOWEST = 0.25
"""Two images are of one contrast if neither figure of their agreement is below these."""

_BINS = 12
_FEWEST_WINDOWS = 1000


class Agreement(NamedTuple):
    """The mean local correlation, and the lowest mean among windows of similar brightness.

    Both are those of windows with clear structure. `faint` is the mean correlation of the windows
    with faint structure, zero if there are few. It is high where both images show the same texture,
    as two scans of one person may, and low where they show noise or the textures of two persons.

    T1 and FLAIR images of the brain, for example, agree at most edges, but the brightest tissue of
    one is not that of the other, and there the correlation is about zero or negative.
    """

    mean: float
    lowest: float
    faint: float

    @property
    def one_contrast(self) -> bool:
        """Whether the images are of one contrast."""
        return self.mean >= LEAST_MEAN and self.lowest >= LEAST_LOWEST


def measure_agreement(images: LevelImages, displacement: Tensor) -> Agreement:
    """Return the agreement of two images that `displacement` [1, 3, X, Y, Z] in voxels aligns.

    The windows are sorted into bins of equal size by their mean brightness in the fixed image, and
    again by that in the warped image.
    """
    warped, weight = TorchSteps(images).warped(displacement)
    w = windows(images.fixed, warped, weight)
    correlation = w.covariance * w.inverse
    clear = w.counts & (torch.minimum(w.var_f, w.var_w) >= FAINT_VARIANCE)
    faint = _mean(correlation[w.counts & ~clear])
    if int(clear.sum()) < _FEWEST_WINDOWS:
        return Agreement(0.0, 0.0, faint)
    lowest = [
        float(part.mean())
        for brightness in (w.mean_f[clear], w.mean_w[clear])
        for part in correlation[clear][torch.argsort(brightness)].chunk(_BINS)
    ]
    return Agreement(_mean(correlation[clear]), min(lowest), faint)


def _mean(correlation: Tensor) -> float:
    return float(correlation.mean()) if len(correlation) >= _FEWEST_WINDOWS else 0.0
