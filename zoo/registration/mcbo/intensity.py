"""The intensities that the local correlation compares."""

from __future__ import annotations

from torch import Tensor

from zoo.registration.intensity import looks_like_hounsfield, to_unit
from zoo.solvers.fluid import GAIN, GENTLE_GAIN

CT_WINDOW = (-1000.0, 1000.0)
"""The Hounsfield units that the fluid refinement compares."""
HIGHEST_PERCENTILE = 0.99
"""The rank, among the values above the lowest, at which it clips other images."""


def unit_intensity(image: Tensor) -> Tensor:
    """Return `image` [X, Y, Z] clipped and scaled to [0, 1] for the local correlation."""
    if looks_like_hounsfield(image):
        return to_unit(image, *CT_WINDOW)
    low = float(image.min())
    above = image[image > low].flatten()
    rank = max(1, int(HIGHEST_PERCENTILE * len(above)))
    return to_unit(image, low, float(above.kthvalue(rank).values))


def step_gain(images: Tensor) -> float:
    """Return the gain of the refinement's steps for `images` [2, X, Y, Z] of the working pair.

    The soft tissues of CT differ by little more than the noise, so that short steps serve better.
    """
    return GENTLE_GAIN if all(looks_like_hounsfield(image) for image in images) else GAIN
