"""How two images of a pair lie to each other before anything is registered."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.errors import UserError
from zoo.geometry import Grid, Transform, warp
from zoo.io.labels import read_labels
from zoo.io.points import read_points
from zoo.io.volume import read_volume
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
TRUSTED = 0.12
"""Below this interior LNCC^2 the images are not aligned well enough for anything to be told."""


@dataclass(frozen=True)
class Alignment:
    """Figures of one pair; None where the data do not tell.

    `centres_mm` between the bodies' centres of mass; `overlap` the share of the fixed body that
    the moving field of view holds; `lncc`, `lncc2` inside the eroded body; `sign` in [-1, 1], 1 for
    one contrast, -1 for an inverted one; `tre_mm` p50, p95, largest.
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
        """How far places have to move, as far as can be told: key points, else centres of mass."""
        return self.centres_mm if self.tre_mm is None else max(self.tre_mm[1], self.centres_mm)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        return asdict(self)


def measure(pair: dict[str, Any]) -> Alignment:
    """Measure a pair, given as `Dataset.pairs` lists it."""
    fixed, moving = (read_volume(path) for path in (pair["fixed"], pair["moving"][0]))
    bodies = [
        find_body(volume.data, volume.grid, spacing_for_voxels(volume.grid, BODY_VOXELS), side)
        for volume, side in ((fixed, "fixed"), (moving, "moving"))
    ]
    name = f"{Path(pair['fixed']).name}, {Path(pair['moving'][0]).name}"
    return Alignment(
        pair=name,
        centres_mm=float((bodies[0].centre - bodies[1].centre).norm()),
        **_alike(*bodies),
        dice=_dice(pair),
        tre_mm=_errors(pair, fixed.grid, moving.grid),
    )


def _alike(fixed: Body, moving: Body) -> dict[str, Any]:
    """Compare the images where both bodies are, away from their surfaces."""
    there = Transform.identity()
    moved = warp(moving.image[None], moving.grid, fixed.grid, there, fill=-1)[0]
    body = warp(moving.mask[None], moving.grid, fixed.grid, there)[0] > 0.5
    seen = (fixed.mask > 0) & (moved >= 0)
    overlap = float(seen.sum() / fixed.mask.sum().clamp_min(1))
    inside = _eroded(fixed.mask > 0) & _eroded(body) & (moved >= 0)
    if int(inside.sum()) < 500:
        return {"overlap": overlap, "lncc": None, "lncc2": None, "sign": None, "nmi": None}
    a, b = fixed.image, moved.clamp_min(0)
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
    """Return the correlation of [X, Y, Z] images under a Gaussian window; 0 where both are flat."""
    a, b = a[None, None].double(), b[None, None].double()
    means = gaussian(a, sigma), gaussian(b, sigma)
    floor = 1e-5
    spread = [
        (gaussian(image * image, sigma) - mean * mean).clamp_min(0) + floor
        for image, mean in zip((a, b), means, strict=True)
    ]
    common = gaussian(a * b, sigma) - means[0] * means[1]
    return (common / torch.sqrt(spread[0] * spread[1]))[0, 0]


def _eroded(mask: Tensor, steps: int = 3) -> Tensor:
    """Take `steps` voxels off a mask [X, Y, Z]; the volume's edge counts as outside."""
    out = 1 - mask.float()[None, None]
    for _ in range(steps):
        out = torch.nn.functional.pad(out, (1,) * 6, value=1.0)
        out = torch.nn.functional.max_pool3d(out, 3, 1)
    return out[0, 0] < 0.5


def _dice(pair: dict[str, Any]) -> float | None:
    """Return the mean overlap of the labels that both images have, where the headers place them."""
    if pair["fixed_labels"] is None or pair["moving_labels"] is None:
        return None
    fixed, moving = (read_labels(pair[f"{side}_labels"]) for side in ("fixed", "moving"))
    moved = warp(
        moving.data[None], moving.grid, fixed.grid, Transform.identity(), interpolation="nearest"
    )[0]
    labels = shared_labels(fixed.data, moving.data)
    overlaps = list(dice_per_label(fixed.data, moved, labels).values())
    return float(torch.tensor(overlaps, dtype=torch.float64).mean()) if overlaps else None


def _errors(pair: dict[str, Any], fixed: Grid, moving: Grid) -> list[float] | None:
    """Return p50, p95 and largest distance between the partners' key points, mm."""
    if pair["fixed_points"] is None or pair["moving_points"] is None:
        return None
    space = pair["points_space"]
    a = read_points(pair["fixed_points"], space, fixed)
    b = read_points(pair["moving_points"], space, moving)
    if len(a) != len(b):
        raise UserError(f"{pair['fixed_points']} and its partner differ in length; correct them")
    distance = (a - b).norm(dim=1)
    return [float(distance.quantile(q)) for q in (0.5, 0.95, 1)]
