"""Intensity normalisation of each model: an image [X, Y, Z] float32 is mapped to [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.datasets.modality import HIGHEST_MINIMUM, HOUNSFIELD, IntensityStatistics
from zoo.datasets.modality import is_hounsfield as values_are_hounsfield
from zoo.errors import UserError
from zoo.networks.unireg_tasks import CT_WINDOW, MR_PERCENTILES

RELATIVE = ("mr", "us", "pet")


class GradICONIntensity:
    """The normalisation of GradICON networks.

    CT is clipped to [-1000, 1000] HU, other images from their minimum to their 99th percentile.
    `ct_window` (HU) and `quantiles` (in [0, 1]) serve weights that were trained with other ranges.
    """

    def __init__(
        self,
        modality: str | None = None,
        ct_window: Sequence[float] = (-1000, 1000),
        quantiles: Sequence[float] = (0, 0.99),
    ) -> None:
        self.modality = known_modality(modality)
        self.ct_window = _range("ct_window", ct_window)
        self.quantiles = _range("quantiles", quantiles)

    def __call__(self, image: Tensor) -> Tensor:
        """Return `image` clipped to its range and scaled to [0, 1]."""
        if is_hounsfield(image, self.modality):
            return to_unit(image, *self.ct_window)
        values = image.flatten()
        ranks = (max(1, int(quantile * len(values))) for quantile in self.quantiles)
        low, high = (float(torch.kthvalue(values, rank).values) for rank in ranks)
        return to_unit(image, low, high)


class UniRegIntensity:
    """The normalisation of UniReg.

    CT is clipped to [-150, 250] HU, other images to the 0.5th and 99.5th percentile of their
    positive voxels.
    """

    def __init__(self, modality: str | None = None) -> None:
        self.modality = known_modality(modality)

    def __call__(self, image: Tensor) -> Tensor:
        """Return `image` clipped to its range and scaled to [0, 1]."""
        if is_hounsfield(image, self.modality):
            return to_unit(image, *CT_WINDOW)
        foreground = image[image > 0].flatten()
        values = foreground if len(foreground) else image.flatten()
        low, high = (_quantile(values, percent / 100) for percent in MR_PERCENTILES)
        return to_unit(image, low, high)


def _range(name: str, ends: Sequence[float]) -> tuple[float, float]:
    """Return the two ends of a range, the smaller one first; refuse anything else."""
    if len(ends) != 2 or not ends[0] < ends[1]:
        raise UserError(f"{name} {list(ends)} must be two numbers, with the smaller one first")
    return float(ends[0]), float(ends[1])


def known_modality(modality: str | None) -> str | None:
    """Return the name of a modality in lower case; raise `UserError` if it is not known."""
    if modality is None:
        return None
    if modality.lower() not in HOUNSFIELD + RELATIVE:
        known = ", ".join(HOUNSFIELD + RELATIVE)
        raise UserError(f"modality {modality!r} is not known; use one of {known}")
    return modality.lower()


def is_hounsfield(image: Tensor, modality: str | None) -> bool:
    """Return whether an image is in Hounsfield units: as declared, otherwise by its values.

    An image that is declared CT but contains no air was windowed or shifted. It is refused, because
    clipping it in Hounsfield units would destroy it.
    """
    evidence = looks_like_hounsfield(image)
    if modality is None:
        return evidence
    if modality in HOUNSFIELD and float(image.min()) >= HIGHEST_MINIMUM:
        raise UserError(
            f"the image is declared {modality} but its smallest value is {float(image.min()):g}, so"
            " it is not in Hounsfield units; add the missing offset to the file (often -1024), or"
            " declare it mr to scale it by its own percentiles"
        )
    return modality in HOUNSFIELD


def looks_like_hounsfield(image: Tensor) -> bool:
    """Return whether the values are those of a CT, by the same rule as in planning."""
    return values_are_hounsfield(IntensityStatistics.of(image.detach().cpu().numpy()))


def to_unit(image: Tensor, low: float, high: float) -> Tensor:
    """Clip `image` to [`low`, `high`] and scale it linearly to [0, 1].

    Each voxel is scaled in double precision, as ITK does, except on Apple's GPUs, which lack it.
    This happens slice by slice, because a whole volume in double precision would dominate the peak
    memory.
    """
    if high <= low:
        raise UserError(
            f"nearly every voxel of the image has the value {low:g}, so there is nothing to "
            "register: check that it is the right file"
        )
    out = torch.empty(image.shape, dtype=torch.float32, device=image.device)
    scale = 1 / (high - low)
    precision = torch.float32 if image.device.type == "mps" else torch.float64
    for slice_in, slice_out in zip(image, out, strict=True):
        slice_out.copy_((slice_in.float().clamp(low, high).to(precision) - low) * scale)
    return out


def _quantile(values: Tensor, fraction: float) -> float:
    """Return a quantile by rank; `torch.quantile` refuses more than 16 million values."""
    rank = min(len(values), max(1, round(fraction * len(values))))
    return float(torch.kthvalue(values, rank).values)
