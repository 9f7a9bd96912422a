"""Whether two roughly aligned images are of one contrast, as local correlation requires."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from zoo.solvers.fluid.steps import LevelImages, TorchSteps, windows

LEAST_MEAN = 0.5
LEAST_LOWEST = 0.25
"""Two images are of one contrast if neither figure of their agreement is below these."""

_BINS = 12
_FEWEST_WINDOWS = 1000


class Agreement(NamedTuple):
    """The mean local correlation, and the lowest mean among windows of similar brightness.

    T1 and FLAIR images of the brain, for example, agree at most edges, but the brightest tissue of
    one is not that of the other, and there the correlation is about zero or negative.
    """

    mean: float
    lowest: float

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
    correlation = (w.covariance * w.inverse)[w.counts]
    if len(correlation) < _FEWEST_WINDOWS:
        return Agreement(0.0, 0.0)
    lowest = [
        float(part.mean())
        for brightness in (w.mean_f[w.counts], w.mean_w[w.counts])
        for part in correlation[torch.argsort(brightness)].chunk(_BINS)
    ]
    return Agreement(float(correlation.mean()), min(lowest))
