"""How much an atlas counts at each voxel of a target, from the similarity of the two images."""

from __future__ import annotations

from torch import Tensor

from zoo.geometry import Grid
from zoo.losses.filters import gaussian_taps, separable_filter

RADIUS_MM = 1.5
"""Standard deviation of the Gaussian patch in mm; half a voxel in coarser images."""
FLAT = 1e-3
"""Variance within a patch, relative to that of the region, below which nothing is compared."""
UNEXPLAINED = 1e-2
"""The smallest unexplained part that counts, so that no atlas decides alone."""


def local_weights(
    target: Tensor, warped: Tensor, region: Tensor, grid: Grid, radius_mm: float = RADIUS_MM
) -> Tensor:
    """Return the weight of a warped atlas at each voxel of the target: [X, Y, Z], float32.

    The weight is 1 / (1 - r^2), where r is the correlation of the two images within a Gaussian
    patch. 1 - r^2 is the part of the target's variance in the patch that no linear function of the
    atlas explains, so that bias fields and other contrasts do not matter; it is an inverse power of
    a squared difference, as in Artaechevarria et al. (2009), after a local fit of the intensities.
    `region` [X, Y, Z] (bool) sets the scale of the intensities; `radius_mm` is the standard
    deviation of the patch.
    """
    a, b = _standardised(target, region), _standardised(warped, region)
    sigmas = [max(radius_mm / spacing, 0.5) for spacing in grid.spacing]
    taps = [gaussian_taps(sigma, 2 * round(3 * sigma) + 1) for sigma in sigmas]

    def patch_mean(image: Tensor) -> Tensor:
        return separable_filter(image[None, None], taps, edge="replicate")[0, 0]

    mean_a, mean_b = patch_mean(a), patch_mean(b)
    variance_a = (patch_mean(a * a) - mean_a**2).clamp_min_(0)
    variance_b = (patch_mean(b * b) - mean_b**2).clamp_min_(0)
    covariance = patch_mean(a * b) - mean_a * mean_b
    explained = covariance**2 / ((variance_a + FLAT) * (variance_b + FLAT))
    return 1 / (1 - explained.clamp(0, 1) + UNEXPLAINED)


def _standardised(image: Tensor, region: Tensor) -> Tensor:
    """Return an image with mean 0 and variance 1 in a region."""
    values = image.float()[region].double()
    scale = float(values.std(correction=0)) or 1.0
    return (image.float() - float(values.mean())) / scale
