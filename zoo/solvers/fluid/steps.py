"""The steps of the fluid refinement, with torch on any device or with compiled loops on a CPU.

Both classes compute the same numbers up to rounding. The compiled one is used where it can be,
because it passes over the volumes a fourth as often.

Every window counts with the square of its correlation. Windows that no displacement can match,
because they show noise or anatomy that the other image lacks, then pull less than those around
them.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from zoo.geometry.sampling import identity_index, inside, sample
from zoo.losses.filters import box_taps, gaussian_taps, separable_filter

RADIUS = 2
"""The windows of the local correlation have 2 * RADIUS + 1 voxels per side."""
LEAST_VARIANCE = 1e-5
"""A window with a smaller variance, for images in [0, 1], has no structure and never counts."""
FAINT_VARIANCE = 4e-4
"""A window with a smaller variance shows faint structure or noise: 40 HU, or 2 % of the range."""
FLOOR = 0.02
"""What is added to the curvature, as a share of its mean: steps fade far from all structure."""

GAIN = 3.0
"""The curvature is the sum of those along the three axes, three times that along one of them."""
GENTLE_GAIN = 1.0
"""A third of it: for images whose soft tissues differ by little more than the noise, such as CT."""

_ROW_BLOCKS = 4  # per thread, so that threads which finish early take more


@dataclass(frozen=True)
class StepSettings:
    """How windows are compared, and how long steps are.

    Windows have 2 * `radius` + 1 voxels per side. They do not count if their variance is below
    `least_variance` in either image. `gain` multiplies the Gauss-Newton step.
    """

    radius: int = RADIUS
    least_variance: float = LEAST_VARIANCE
    gain: float = GAIN

    @property
    def side(self) -> int:
        """Voxels along one side of a window."""
        return 2 * self.radius + 1

    @property
    def least_count(self) -> float:
        """Voxels inside both masks below which a window does not count."""
        return 0.5 * self.side**3


USUAL = StepSettings()


class Windows(NamedTuple):
    """The window around every voxel of two images, each [1, 1, X, Y, Z].

    They are the number of voxels inside both masks, the means and variances of the fixed and of the
    warped image, their covariance, and whether the window counts.
    """

    voxels: Tensor
    mean_f: Tensor
    mean_w: Tensor
    var_f: Tensor
    var_w: Tensor
    covariance: Tensor
    counts: Tensor

    @property
    def inverse(self) -> Tensor:
        """One over the root of the product of the variances; zero where a window does not count."""
        product = (self.var_f * self.var_w).clamp_min(LEAST_VARIANCE**2)
        return torch.where(self.counts, product.rsqrt(), 0)


@dataclass(frozen=True)
class LevelImages:
    """Images and masks [1, 1, X, Y, Z] float32 of one level; images in [0, 1], masks 0 or 1."""

    moving: Tensor
    fixed: Tensor
    moving_mask: Tensor
    fixed_mask: Tensor


class Steps(Protocol):
    """The operations of one level. Displacements are [1, 3, X, Y, Z] in voxels, pull-back."""

    def update(self, field: Tensor, sigma: float, longest: float) -> tuple[Tensor, float]:
        """Return the Gauss-Newton step of `field`, and the mean local correlation before it."""
        ...

    def compose(self, outer: Tensor, inner: Tensor) -> Tensor:
        """Return the displacement of the map outer(inner(x))."""
        ...

    def smooth(self, field: Tensor, sigma: float) -> Tensor:
        """Return `field`, smoothed by a Gaussian of `sigma` voxels; beyond the border it is 0."""
        ...


def steps_for(images: LevelImages, settings: StepSettings) -> Steps:
    """Return the fastest implementation that runs on the device of the images."""
    if images.fixed.device.type != "cpu":
        return TorchSteps(images, settings)
    try:
        return CompiledSteps(images, settings)
    except ImportError:  # numba has no wheel for this computer
        return TorchSteps(images, settings)


class TorchSteps:
    """The steps in plain torch."""

    def __init__(self, images: LevelImages, settings: StepSettings = USUAL) -> None:
        self.images, self.settings = images, settings
        self.identity = identity_index(images.fixed.shape[2:], device=images.fixed.device)
        self.floor: Tensor | None = None

    def warped(self, field: Tensor) -> tuple[Tensor, Tensor]:
        """Return the warped moving image and the weights of its voxels."""
        index = self.identity + field
        valid = sample(self.images.moving_mask, index) >= 0.999
        valid &= inside(index, self.images.fixed.shape[2:])
        return sample(self.images.moving, index), self.images.fixed_mask * valid

    def update(self, field: Tensor, sigma: float, longest: float) -> tuple[Tensor, float]:
        """Return the Gauss-Newton step of `field`, and the mean local correlation before it."""
        warped, weight = self.warped(field)
        fixed, window = self.images.fixed, [box_taps(self.settings.side)] * 3
        w = windows(fixed, warped, weight, self.settings)
        correlations = w.covariance * w.inverse
        correlation = float(correlations.sum() / w.counts.sum().clamp_min(1))
        a = correlations.clamp_min(0).square() * w.inverse / w.voxels.clamp_min(1)
        ab = a * w.covariance / w.var_w.clamp_min(LEAST_VARIANCE)
        filtered = separable_filter(torch.cat([a, ab, a * w.mean_f - ab * w.mean_w], 1), window)
        slope = weight * (filtered[:, :1] * fixed - filtered[:, 2:] - filtered[:, 1:2] * warped)
        gradient = torch.cat([_difference(warped, axis) for axis in (2, 3, 4)], 1)
        curvature = weight * filtered[:, :1] * gradient.square().sum(1, keepdim=True)
        force = self.smooth(torch.cat([slope * gradient, curvature], 1), sigma)
        if self.floor is None:
            positive = force[:, 3:][force[:, 3:] > 0]
            self.floor = FLOOR * positive.mean() if len(positive) else force.new_ones(())
        step = self.settings.gain * force[:, :3] / (force[:, 3:] + self.floor)
        return step / (1 + step.norm(dim=1, keepdim=True) / longest), correlation

    def compose(self, outer: Tensor, inner: Tensor) -> Tensor:
        """Return the displacement of the map outer(inner(x))."""
        return sample(outer, self.identity + inner) + inner

    def smooth(self, field: Tensor, sigma: float) -> Tensor:
        """Return `field`, smoothed by a Gaussian of `sigma` voxels; beyond the border it is 0."""
        return separable_filter(field, [_gaussian(sigma)] * 3) if sigma else field


def windows(
    fixed: Tensor, warped: Tensor, weight: Tensor, settings: StepSettings = USUAL
) -> Windows:
    """Return the windows of two images, of which every voxel counts with its `weight`."""
    products = [torch.ones_like(fixed), fixed, warped, fixed**2, warped**2, fixed * warped]
    sums = separable_filter(torch.cat(products, 1) * weight, [box_taps(settings.side)] * 3)
    count = sums[:, :1]
    mean_f, mean_w, square_f, square_w, product = (sums[:, 1:] / count.clamp_min(1)).split(1, 1)
    var_f, var_w = square_f - mean_f**2, square_w - mean_w**2
    clear = torch.minimum(var_f, var_w) >= settings.least_variance
    counts = (count >= settings.least_count) & clear
    return Windows(count, mean_f, mean_w, var_f, var_w, product - mean_f * mean_w, counts)


class CompiledSteps:
    """The steps in compiled loops, whose rows are shared by the threads of torch."""

    def __init__(self, images: LevelImages, settings: StepSettings = USUAL) -> None:
        from zoo.solvers.fluid import filters, kernels  # numba is imported where it is needed

        self.settings = settings
        self.kernels: Any = kernels
        self.filters: Any = filters
        self.moving, self.fixed, self.moving_mask, self.fixed_mask = (
            np.ascontiguousarray(volume[0, 0].numpy(), dtype=np.float32)
            for volume in (images.moving, images.fixed, images.moving_mask, images.fixed_mask)
        )
        shape = self.fixed.shape
        self.warped, self.valid = np.empty(shape, np.float32), np.empty(shape, np.float32)
        self.first = np.empty((6, *shape), np.float32)
        self.second = np.empty((4, *shape), np.float32)
        self.window = np.ones(settings.side, np.float32)
        self.floor: np.float32 | None = None

    def update(self, field: Tensor, sigma: float, longest: float) -> tuple[Tensor, float]:
        """Return the Gauss-Newton step of `field`, and the mean local correlation before it.

        The step is overwritten by the next one.
        """
        k, images = self.kernels, (self.fixed, self.fixed_mask, self.warped, self.valid)
        taps = _gaussian(sigma).numpy().astype(np.float32)
        self._rows(
            k.warp_rows, self.moving, self.moving_mask, field[0].numpy(), self.warped, self.valid
        )
        self._rows(k.sums_in_planes, *images, self.window, self.first)
        least = np.float32(self.settings.least_count), np.float32(self.settings.least_variance)
        found = self._rows(k.coefficients, self.first, self.window, *least, self.second[:3])
        force = self.first[:4]
        self._rows(k.force_rows, *images, self.second[:3], self.window, taps, force)
        self._rows(self.filters.smooth_first, force, taps, self.second)
        if self.floor is None:
            positive = self.second[3][self.second[3] > 0]
            mean = positive.mean(dtype=np.float64) if len(positive) else 1 / FLOOR
            self.floor = np.float32(FLOOR * mean)
        gain = np.float32(self.settings.gain)
        self._rows(k.divide_rows, self.second, self.floor, gain, np.float32(longest))
        total, count = (sum(part[n] for part in found) for n in (0, 1))
        return torch.from_numpy(self.second[:3])[None], total / max(count, 1)

    def compose(self, outer: Tensor, inner: Tensor) -> Tensor:
        """Return the displacement of the map outer(inner(x))."""
        out = torch.empty_like(outer)
        self._rows(self.kernels.compose_rows, outer[0].numpy(), inner[0].numpy(), out[0].numpy())
        return out

    def smooth(self, field: Tensor, sigma: float) -> Tensor:
        """Return `field`, smoothed by a Gaussian of `sigma` voxels; beyond the border it is 0."""
        if not sigma:
            return field
        taps = _gaussian(sigma).numpy().astype(np.float32)
        planes, out = self.first[:3], torch.empty_like(field)
        self._rows(self.filters.smooth_planes, field[0].numpy(), taps, planes)
        self._rows(self.filters.smooth_first, planes, taps, out[0].numpy())
        return out

    def _rows(self, kernel: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Run a kernel on blocks of rows, one thread per thread of torch; return its results."""
        threads, rows = torch.get_num_threads(), self.fixed.shape[0]
        ends = np.linspace(0, rows, min(rows, threads * _ROW_BLOCKS) + 1).astype(int)
        if threads == 1:
            return [kernel(*arguments, 0, rows)]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda a, b: kernel(*arguments, a, b), ends[:-1], ends[1:]))


def _gaussian(sigma: float) -> Tensor:
    """Return the taps of a Gaussian of `sigma` voxels, up to three sigma."""
    return gaussian_taps(sigma, 2 * max(1, -int(-3 * sigma // 1)) + 1)


def _difference(volume: Tensor, axis: int) -> Tensor:
    """Return the central differences along an axis, one-sided at the border."""
    if volume.shape[axis] == 1:
        return torch.zeros_like(volume)
    return torch.gradient(volume, dim=axis)[0]
