"""Measure how the two images of a pair are aligned before registration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.errors import UserError
from zoo.geometry import Grid, Transform, warp
from zoo.io.labels import read_labels
from zoo.io.points import read_points
from zoo.io.volume import Volume, read_volume
from zoo.losses.filters import gaussian
from zoo.measures import (
    Body,
    dice_per_label,
    find_body,
    normalised_mutual_information,
    shared_labels,
    spacing_for_voxels,
)

BODY_VOXELS = 300_000
"""The number of voxels at which bodies are compared."""
TRUSTED_LNCC2 = 0.12
"""Squared local correlation below which the images are not aligned well enough to compare them."""


@dataclass(frozen=True)
class Alignment:
    """The figures of one pair as its headers align it; None where the data do not show a figure.

    `centres_mm` is the distance between the bodies' centres of mass, `overlap` the share of the
    fixed body inside the moving field of view. `lncc` and `lncc2` are the mean local correlation
    and its square inside the eroded bodies, `nmi` the normalised mutual information there. `sign`
    is in [-1, 1]: 1 for one contrast, -1 for an inverted one. `tre_mm` are median, 95th percentile
    and maximum of the distances between corresponding key points.
    """

    pair: str
    centres_mm: float
    overlap: float
    lncc: float | None
    lncc2: float | None
    sign: float | None
    nmi: float | None
    dice: float | None = None
    tre_mm: list[float] | None = None

    @property
    def displacement_mm(self) -> float:
        """The largest known displacement: of key points, else of the centres of mass."""
        return self.centres_mm if self.tre_mm is None else max(self.tre_mm[1], self.centres_mm)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        return asdict(self)


def measure_alignment(
    pair: dict[str, Any], *, read: Callable[[Path], Volume] = read_volume
) -> Alignment:
    """Measure a pair, given as an entry of `Dataset.pairs`, whose images `read` reads."""
    fixed, moving = (read(Path(path)) for path in (pair["fixed"], pair["moving"][0]))
    bodies = _bodies(fixed, moving)
    name = f"{Path(pair['fixed']).name}, {Path(pair['moving'][0]).name}"
    return Alignment(
        pair=name,
        centres_mm=float((bodies[0].centre - bodies[1].centre).norm()),
        **_similarity(*bodies, Transform.identity()),
        dice=_dice(pair),
        tre_mm=_landmark_distances(pair, fixed.grid, moving.grid),
    )


def inside_similarity(fixed: Volume, moving: Volume, transform: Transform) -> dict[str, Any]:
    """Return the figures `overlap` to `nmi` of `Alignment` for images that `transform` aligns."""
    return _similarity(*_bodies(fixed, moving), transform)


def _bodies(fixed: Volume, moving: Volume) -> tuple[Body, Body]:
    """Return the bodies of two images at the resolution at which they are compared."""
    one, two = (
        find_body(volume.data, volume.grid, spacing_for_voxels(volume.grid, BODY_VOXELS), side)
        for volume, side in ((fixed, "fixed"), (moving, "moving"))
    )
    return one, two


def _similarity(fixed: Body, moving: Body, transform: Transform) -> dict[str, Any]:
    """Compare the images inside both bodies, away from their surfaces."""
    warped = warp(moving.image[None], moving.grid, fixed.grid, transform, fill=-1)[0]
    body = warp(moving.mask[None], moving.grid, fixed.grid, transform)[0] > 0.5
    covered = (fixed.mask > 0) & (warped >= 0)
    overlap = float(covered.sum() / fixed.mask.sum().clamp_min(1))
    inside = _eroded(fixed.mask > 0) & _eroded(body) & (warped >= 0)
    if int(inside.sum()) < 500:
        return {"overlap": overlap, "lncc": None, "lncc2": None, "sign": None, "nmi": None}
    a, b = fixed.image, warped.clamp_min(0)
    r = _local_correlation(a, b)[inside]
    weight = r * r
    size = (weight * r.abs()).sum().clamp_min(1e-12)
    return {
        "overlap": overlap,
        "lncc": float(r.mean()),
        "lncc2": float(weight.mean()),
        "sign": float((weight * r).sum() / size),
        "nmi": normalised_mutual_information(a[inside], b[inside]),
    }


def _local_correlation(a: Tensor, b: Tensor, sigma: float = 2.0) -> Tensor:
    """Return the correlation of images [X, Y, Z] in a Gaussian window; 0 where both are constant.

    `sigma` is in voxels.
    """
    a, b = a[None, None].double(), b[None, None].double()
    means = gaussian(a, sigma), gaussian(b, sigma)
    floor = 1e-5
    variances = [
        (gaussian(image * image, sigma) - mean * mean).clamp_min(0) + floor
        for image, mean in zip((a, b), means, strict=True)
    ]
    covariance = gaussian(a * b, sigma) - means[0] * means[1]
    return (covariance / torch.sqrt(variances[0] * variances[1]))[0, 0]


def _eroded(mask: Tensor, steps: int = 3) -> Tensor:
    """Erode a mask [X, Y, Z] by `steps` voxels; beyond the volume's edge it is outside."""
    out = 1 - mask.float()[None, None]
    for _ in range(steps):
        out = torch.nn.functional.pad(out, (1,) * 6, value=1.0)
        out = torch.nn.functional.max_pool3d(out, 3, 1)
    return out[0, 0] < 0.5


def _dice(pair: dict[str, Any]) -> float | None:
    """Return the mean Dice of the labels that both images have, as their headers align them."""
    if pair["fixed_labels"] is None or pair["moving_labels"] is None:
        return None
    fixed, moving = (read_labels(pair[f"{side}_labels"]) for side in ("fixed", "moving"))
    warped = warp(
        moving.data[None], moving.grid, fixed.grid, Transform.identity(), interpolation="nearest"
    )[0]
    labels = shared_labels(fixed.data, moving.data)
    overlaps = list(dice_per_label(fixed.data, warped, labels).values())
    return float(torch.tensor(overlaps, dtype=torch.float64).mean()) if overlaps else None


def _landmark_distances(pair: dict[str, Any], fixed: Grid, moving: Grid) -> list[float] | None:
    """Return median, 95th percentile and maximum of the distances between key points, mm."""
    if pair["fixed_points"] is None or pair["moving_points"] is None:
        return None
    space = pair["points_space"]
    a = read_points(pair["fixed_points"], space, fixed)
    b = read_points(pair["moving_points"], space, moving)
    if len(a) != len(b):
        raise UserError(
            f"{pair['fixed_points']} holds {len(a)} points and {pair['moving_points']} {len(b)}; "
            "corresponding points are needed"
        )
    distance = (a - b).norm(dim=1)
    return [float(distance.quantile(q)) for q in (0.5, 0.95, 1)]
