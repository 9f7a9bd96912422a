"""Intensities as each model was trained on them: an image [X, Y, Z] float32 becomes [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.datasets.modality import HOUNSFIELD, IntensityStatistics
from zoo.datasets.modality import is_hounsfield as values_are_hounsfield
from zoo.errors import UserError
from zoo.networks.unireg_tasks import CT_WINDOW, MR_PERCENTILES

RELATIVE = ("mr", "us", "pet")


class GradICONIntensity:
    """CT: [-1000, 1000] HU; any other: from the minimum to the 99th percentile.

    `ct_window` (HU) and `quantiles` (shares in [0, 1]) are for weights that were trained otherwise.
    """

    def __init__(
        self,
        modality: str | None = None,
        ct_window: Sequence[float] = (-1000, 1000),
        quantiles: Sequence[float] = (0, 0.99),
    ) -> None:
        self.modality = checked(modality)
        self.ct_window = _range("ct_window", ct_window)
        self.quantiles = _range("quantiles", quantiles)

    def __call__(self, image: Tensor) -> Tensor:
        """Return `image` clamped to its window and brought to [0, 1]."""
        if is_hounsfield(image, self.modality):
            return to_unit(image, *self.ct_window)
        values = image.flatten()
        ranks = (max(1, int(share * len(values))) for share in self.quantiles)
        low, high = (float(torch.kthvalue(values, rank).values) for rank in ranks)
        return to_unit(image, low, high)


class UniRegIntensity:
    """CT: [-150, 250] HU; any other: the 0.5th to the 99.5th percentile of what is not zero."""

    def __init__(self, modality: str | None = None) -> None:
        self.modality = checked(modality)

    def __call__(self, image: Tensor) -> Tensor:
        """Return `image` clamped to its window and brought to [0, 1]."""
        if is_hounsfield(image, self.modality):
            return to_unit(image, *CT_WINDOW)
        foreground = image[image > 0].flatten()
        values = foreground if len(foreground) else image.flatten()
        low, high = (_percentile(values, percent / 100) for percent in MR_PERCENTILES)
        return to_unit(image, low, high)


def _range(name: str, ends: Sequence[float]) -> tuple[float, float]:
    """Return the two ends of a range; what is none is refused."""
    if len(ends) != 2 or not ends[0] < ends[1]:
        raise UserError(f"{name} {list(ends)} must be two numbers, the smaller one first")
    return float(ends[0]), float(ends[1])


def checked(modality: str | None) -> str | None:
    """Return a modality's name in small letters; one that is not known is refused."""
    if modality is None:
        return None
    if modality.lower() not in HOUNSFIELD + RELATIVE:
        known = ", ".join(HOUNSFIELD + RELATIVE)
        raise UserError(f"modality {modality!r} is not known; use one of {known}")
    return modality.lower()


def is_hounsfield(image: Tensor, modality: str | None) -> bool:
    """Say whether an image is in Hounsfield units: as declared, or by evidence when it is not.

    An image that is declared CT and holds no air has been windowed or shifted: refused, because a
    clip in Hounsfield units would ruin it.
    """
    evidence = looks_like_hounsfield(image)
    if modality is None:
        return evidence
    if modality in HOUNSFIELD and float(image.min()) >= -50:
        raise UserError(
            f"the image is declared {modality} but its smallest value is {float(image.min()):g}, so"
            " it is not in Hounsfield units; add the offset to the file (often -1024), or declare"
            " it mr to scale it by its own percentiles"
        )
    return modality in HOUNSFIELD


def looks_like_hounsfield(image: Tensor) -> bool:
    """Say whether the values are those of a CT, by the rule that plans go by."""
    return values_are_hounsfield(IntensityStatistics.of(image.detach().cpu().numpy()))


def to_unit(image: Tensor, low: float, high: float) -> Tensor:
    """Return `image` with `low` and less as 0, `high` and more as 1, and a line between.

    Each voxel is scaled in double precision, as ITK does it; slice by slice, because a whole volume
    of doubles would be the largest thing in memory.
    """
    if high <= low:
        raise UserError(
            f"nearly every voxel of the image has the value {low:g}; there is nothing to register"
        )
    out = torch.empty(image.shape, dtype=torch.float32, device=image.device)
    scale = 1 / (high - low)
    for slice_in, slice_out in zip(image, out, strict=True):
        slice_out.copy_((slice_in.float().clamp(low, high).double() - low) * scale)
    return out


def _percentile(values: Tensor, share: float) -> float:
    """Return a percentile by rank; `torch.quantile` refuses more than 16 million values."""
    rank = min(len(values), max(1, round(share * len(values))))
    return float(torch.kthvalue(values, rank).values)
