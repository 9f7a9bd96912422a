"""Protection of image values against isolated outliers and extreme scales."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

TAIL = 0.001
"""Fraction of the voxels at either end of the intensities that is not used to find their range."""
FARTHEST = 10.0
"""Distance from the range, in multiples of its width, from which a value is an outlier."""
SMALLEST_EXPONENT, LARGEST_EXPONENT = -30, 40
"""Powers of two between which the largest magnitude of an image needs no rescaling."""
_SAMPLED = 1 << 18  # voxels from which the range is estimated


def robust_values(image: Tensor) -> Tensor:
    """Return `image` [X, Y, Z] (float32) without outliers and with values of a moderate scale.

    Outliers lie farther than `FARTHEST` times the range of the intensities from that range, for
    example a single voxel at 1e9. Each is replaced by the mean of its neighbours that are not
    outliers, and by the nearest end of the range if it has none. Values whose squares would
    overflow or vanish in float32 are multiplied by a power of two, which is exact. An ordinary
    image is returned as it is. An image with NaN or infinity is also returned as it is, because
    these values are for the caller to refuse.
    """
    low, high = (float(end) for end in torch.aminmax(image))
    if not (math.isfinite(low) and math.isfinite(high)) or low == high:
        return image
    least, most = _range(image)
    if least < most:
        margin = FARTHEST * (most - least)
        if low < least - margin or high > most + margin:
            image = _without_outliers(image, least - margin, most + margin, (least, most))
            low, high = (float(end) for end in torch.aminmax(image))
    exponent = math.frexp(max(abs(low), abs(high)))[1]
    if SMALLEST_EXPONENT <= exponent <= LARGEST_EXPONENT:
        return image
    # Two factors, because one of 2 ** 130 is not a float32.
    return image * 2.0 ** (-exponent // 2) * 2.0 ** (-exponent - -exponent // 2)


def _range(image: Tensor) -> tuple[float, float]:
    """Return the quantiles `TAIL` and 1 - `TAIL` of an evenly spaced sample of the voxels."""
    values = image.flatten()
    # An odd step does not fall into step with the rows of an image of even size.
    values = values[:: max(1, len(values) // _SAMPLED) | 1]
    rank = 1 + int(TAIL * len(values))
    least, most = values.kthvalue(rank).values, values.kthvalue(len(values) + 1 - rank).values
    return float(least), float(most)


def _without_outliers(
    image: Tensor, lowest: float, highest: float, bounds: tuple[float, float]
) -> Tensor:
    """Return `image` with values outside `lowest` and `highest` replaced by their neighbours."""
    valid = ((image >= lowest) & (image <= highest)).float()
    near = torch.where(valid > 0, image, 0.0)
    sums, counts = (
        F.avg_pool3d(v[None, None], 3, stride=1, padding=1)[0, 0] for v in (near, valid)
    )
    neighbours = torch.where(counts > 0, sums / counts.clamp_min(1e-3), image.clamp(*bounds))
    return torch.where(valid > 0, image, neighbours)
