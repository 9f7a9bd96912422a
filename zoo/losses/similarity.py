"""Similarity losses: 0 for a perfect match, larger for a worse one.

Images are [B, C, X, Y, Z] in float32 or float64. Masks are [B, 1, X, Y, Z] in the space of the
fixed image; the similarity counts where they are not zero. Registration compares many warped images
with one fixed image, so a measure works in two steps: `prepare(fixed)` computes what depends on the
fixed image alone, `compare(warped, prepared, mask)` does the rest. Calling the module does both.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from zoo.errors import UserError
from zoo.losses.filters import box_taps, gaussian, separable_filter
from zoo.losses.mind import mind_descriptor

Prepared = tuple[Tensor, ...]


class Similarity(nn.Module):
    """Base class of the similarity losses of (warped, fixed, mask)."""

    def prepare(self, fixed: Tensor) -> Prepared:
        """Return the tensors that depend on `fixed` [B, C, X, Y, Z] alone."""
        return (fixed,)

    def compare(self, warped: Tensor, prepared: Prepared, mask: Tensor | None = None) -> Tensor:
        """Return the loss, a scalar, of `warped` against the prepared fixed image."""
        raise NotImplementedError

    def forward(self, warped: Tensor, fixed: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss, a scalar."""
        return self.compare(warped, self.prepare(fixed), mask)


class LNCC(Similarity):
    """One minus the mean local correlation in a Gaussian window of `sigma` voxels.

    The Gaussian has 4 sigma + 1 taps.
    """

    def __init__(self, sigma: int = 5) -> None:
        super().__init__()
        self.sigma = sigma

    def prepare(self, fixed: Tensor) -> Prepared:
        """Return the fixed image, its local mean and its local variance."""
        fixed = _full(fixed)
        return (fixed, *self._moments(fixed))

    def compare(self, warped: Tensor, prepared: Prepared, mask: Tensor | None = None) -> Tensor:
        """Return the loss, a scalar, of `warped` against the prepared fixed image."""
        return 1 - masked_mean(self.correlation(_full(warped), prepared), mask)

    def correlation(self, warped: Tensor, prepared: Prepared) -> Tensor:
        """Return the local correlation at every voxel, [B, C, X, Y, Z], in [-1, 1]."""
        fixed, fixed_mean, fixed_variance = prepared
        mean, variance = self._moments(warped)
        covariance = gaussian(warped * fixed, self.sigma) - mean * fixed_mean
        return covariance / torch.sqrt(variance * fixed_variance)

    def _moments(self, image: Tensor) -> tuple[Tensor, Tensor]:
        mean = gaussian(image, self.sigma)
        variance = torch.relu(gaussian(image * image, self.sigma) - mean * mean) + 1e-5
        return mean, variance


class SquaredLNCC(LNCC):
    """One minus the mean squared local correlation, which ignores the sign of the contrast."""

    def compare(self, warped: Tensor, prepared: Prepared, mask: Tensor | None = None) -> Tensor:
        """Return the loss, a scalar, of `warped` against the prepared fixed image."""
        return 1 - masked_mean(self.correlation(_full(warped), prepared) ** 2, mask)


class BoxLNCC(Similarity):
    """One minus the mean squared local correlation in a box of `window` voxels.

    `window` is an odd size for all axes, such as 9, or one per axis, such as (3, 9, 9) for thick
    slices. MONAI's `LocalNormalizedCrossCorrelationLoss` has one size for all axes and no mask.
    """

    def __init__(self, window: int | Sequence[int] = 9) -> None:
        super().__init__()
        sizes = [window] * 3 if isinstance(window, int) else list(window)
        if len(sizes) != 3 or any(size < 1 or size % 2 == 0 for size in sizes):
            raise UserError(
                f"the window of a local correlation is {window}; it must be an odd number of "
                "voxels, such as 9, or three of them, such as (3, 9, 9)"
            )
        self.window = sizes

    def prepare(self, fixed: Tensor) -> Prepared:
        """Return the fixed image, and the sum and the spread of its values in each window."""
        fixed = _full(fixed)
        return (fixed, *self._moments(fixed))

    def compare(self, warped: Tensor, prepared: Prepared, mask: Tensor | None = None) -> Tensor:
        """Return the loss, a scalar, of `warped` against the prepared fixed image."""
        fixed, fixed_sum, fixed_spread = prepared
        warped = _full(warped)
        total, spread = self._moments(warped)
        cross = self._sum(warped * fixed) - total * fixed_sum / self._volume
        return 1 - masked_mean(cross * cross / (spread * fixed_spread + 1e-5), mask)

    @property
    def _volume(self) -> int:
        return self.window[0] * self.window[1] * self.window[2]

    def _sum(self, image: Tensor) -> Tensor:
        return separable_filter(image, [box_taps(size) for size in self.window])

    def _moments(self, image: Tensor) -> tuple[Tensor, Tensor]:
        total = self._sum(image)
        spread = torch.relu(self._sum(image * image) - total * total / self._volume)
        return total, spread


class NCC(Similarity):
    """One minus the correlation of the whole images, or of the voxels inside the mask."""

    def compare(self, warped: Tensor, prepared: Prepared, mask: Tensor | None = None) -> Tensor:
        """Return the loss, a scalar, of `warped` against the prepared fixed image."""
        (fixed,) = prepared
        warped, fixed = _full(warped), _full(fixed)
        weight = torch.ones_like(fixed) if mask is None else (mask != 0).expand_as(fixed).to(fixed)
        count = weight.sum((2, 3, 4), keepdim=True).clamp_min(1)

        def mean(values: Tensor) -> Tensor:
            return (values * weight).sum((2, 3, 4), keepdim=True) / count

        warped, fixed = warped - mean(warped), fixed - mean(fixed)
        # The correlation with a constant image is 0 rather than 0 / 0.
        norm = torch.sqrt((mean(warped**2) * mean(fixed**2)).clamp_min(1e-20))
        return 1 - (mean(warped * fixed) / norm).mean()


class MINDSSC(Similarity):
    """The mean squared difference of the 12 MIND-SSC channels, which works across modalities."""

    def __init__(self, radius: int = 2, dilation: int = 2) -> None:
        super().__init__()
        self.radius = radius
        self.dilation = dilation

    def prepare(self, fixed: Tensor) -> Prepared:
        """Return the descriptor of the fixed image, [B, 12, X, Y, Z]."""
        return (mind_descriptor(_full(fixed), self.radius, self.dilation),)

    def compare(self, warped: Tensor, prepared: Prepared, mask: Tensor | None = None) -> Tensor:
        """Return the loss, a scalar, of `warped` against the prepared fixed image."""
        descriptor = mind_descriptor(_full(warped), self.radius, self.dilation)
        return masked_mean((descriptor - prepared[0]) ** 2, mask)


def masked_mean(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Average `values` [B, C, X, Y, Z] where `mask` [B, 1, X, Y, Z] is not zero.

    Each sample is averaged over its own mask first, and then over the batch, so that a sample with
    a small mask counts as much as one with a large mask. A sample with an empty mask counts as 0.
    """
    if mask is None:
        return values.mean()
    inside = (mask != 0).expand_as(values)
    count = inside.flatten(1).sum(1).clamp_min(1)
    return ((values * inside).flatten(1).sum(1) / count).mean()


def similarity_named(name: str, *, coarse: bool = False) -> Similarity:
    """Return the measure named "lncc", "lncc2", "ncc" or "mind", with its published settings.

    With `coarse` the size of its window suits images of half the resolution.
    """
    measures: dict[str, Callable[[], Similarity]] = {
        "lncc": partial(LNCC, 3) if coarse else LNCC,
        "lncc2": partial(SquaredLNCC, 3) if coarse else SquaredLNCC,
        "ncc": NCC,
        "mind": partial(MINDSSC, radius=1, dilation=1) if coarse else MINDSSC,
    }
    if name not in measures:
        raise UserError(f"similarity {name!r} is unknown; choose one of {', '.join(measures)}")
    return measures[name]()


def _full(image: Tensor) -> Tensor:
    """Return `image` in at least float32, because half precision ruins local variances."""
    return image.float() if image.dtype in (torch.float16, torch.bfloat16) else image
