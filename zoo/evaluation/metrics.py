"""Figures of a registration: overlap, surface and landmark errors in mm, regularity, similarity.

Lengths are in mm of the world, errors are measured in the moving image's world, and every figure
that has a before comes with it: before is the map that the two headers alone describe.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from zoo.datasets.pairs import Pair
from zoo.errors import UserError
from zoo.geometry import (
    Grid,
    Transform,
    folding_percent,
    jacobian_determinant,
    sd_log_jacobian,
    warp,
)
from zoo.losses.similarity import SquaredLNCC
from zoo.measures import (
    Body,
    dice_per_label,
    find_body,
    normalised_mutual_information,
    shared_labels,
    spacing_for_voxels,
)

Figures = dict[str, float | None]
"""Figures by name; None where one is not defined, such as the surface of a label that is lost."""

BODY_VOXELS = 1_200_000  # of the lattice on which images are compared
INVERSE_POINTS = 20_000


@dataclass(frozen=True)
class Measured:
    """The figures of a pair, and those of each label that both images have."""

    figures: Figures
    labels: dict[str, Figures] = field(default_factory=dict)


def measure(pair: Pair, transform: Transform, inverse: Transform | None = None) -> Measured:
    """Return all figures of a map fixed -> moving; which ones depends on what the pair has."""
    require_finite(transform, "the map")
    transform = transform.to("cpu")
    out = regularity(transform, pair.fixed.grid)
    before, after = Transform.identity(), transform
    labels: dict[str, Figures] = {}
    if pair.fixed_labels is not None and pair.moving_labels is not None:
        labels = per_label(pair, before, after)
        for name in ("dice", "hd95_mm"):
            for when in ("before", "after"):
                out[f"{name}_{when}"] = _mean(row[f"{name}_{when}"] for row in labels.values())
    if pair.fixed_points is not None and pair.moving_points is not None:
        for when, map_ in (("before", before), ("after", after)):
            errors = landmark_errors(map_, pair.fixed_points, pair.moving_points)
            out |= {f"{name}_{when}": value for name, value in error_figures(errors).items()}
    fixed, moving = _bodies(pair)
    for when, map_ in (("before", before), ("after", after)):
        out |= {f"{k}_{when}": v for k, v in agreement(fixed, moving, map_).items()}
    if inverse is not None:
        out |= inverse_consistency(transform, inverse.to("cpu"), fixed, pair.moving[0].grid)
    return Measured(out, labels)


def require_finite(transform: Transform, name: str) -> None:
    """Refuse a map with NaN or Inf: every figure of it would be meaningless."""
    if transform.field is None or bool(torch.isfinite(transform.field).all()):
        return
    bad = int((~torch.isfinite(transform.field)).any(dim=0).sum())
    raise UserError(
        f"{name} has {bad} voxels with NaN or Inf; only finite displacements can be evaluated: "
        "register the pair again, or mend the program that wrote the field"
    )


def regularity(transform: Transform, grid: Grid) -> Figures:
    """Return folding, spread of the volume change, and the size of the dense part in mm."""
    determinant = jacobian_determinant(transform, grid)
    out: Figures = {
        "folding_percent": folding_percent(determinant),
        "sd_log_jacobian": sd_log_jacobian(determinant),
    }
    if transform.field is not None:
        lengths = transform.field.norm(dim=0).flatten()
        out["deformation_mm_mean"] = float(lengths.double().mean())
        place = max(1, math.ceil(0.99 * len(lengths)))
        out["deformation_mm_p99"] = float(lengths.kthvalue(place)[0])
    return out


def per_label(pair: Pair, before: Transform, after: Transform) -> dict[str, Figures]:
    """Return Dice and HD95 before and after of each label that both images have, but 0."""
    assert pair.fixed_labels is not None
    assert pair.moving_labels is not None
    fixed, moving = pair.fixed_labels, pair.moving_labels
    labels = shared_labels(fixed.data, moving.data)
    rows: dict[str, Figures] = {str(label): {} for label in labels}
    for when, map_ in (("before", before), ("after", after)):
        moved = warp(moving.data[None], moving.grid, fixed.grid, map_, interpolation="nearest")[0]
        overlaps = dice_per_label(fixed.data, moved, labels)
        for label in labels:
            row = rows[str(label)]
            row[f"dice_{when}"] = overlaps[label]
            a, b = _cropped(fixed.data == label, moved == label)
            row[f"hd95_mm_{when}"] = hd95(a, b, fixed.grid.spacing)
    return rows


def hd95(a: Tensor, b: Tensor, spacing: tuple[float, float, float]) -> float | None:
    """Return the 95th percentile of the distance between two masks' surfaces, mm.

    The larger of both directions. A surface voxel touches the outside with one of its six faces;
    distances are between voxel centres. None when a mask is empty.
    """
    one, two = (surface(m.bool()).nonzero().numpy() * np.array(spacing) for m in (a, b))
    if not len(one) or not len(two):
        return None
    there = cKDTree(two).query(one)[0]
    back = cKDTree(one).query(two)[0]
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))


def surface(mask: Tensor) -> Tensor:
    """Return the voxels of a mask [X, Y, Z] with a face on the outside or on the volume's edge."""
    inner = mask.clone()
    for axis in range(3):
        n = mask.shape[axis]
        inner.narrow(axis, 0, 1).fill_(False)
        inner.narrow(axis, n - 1, 1).fill_(False)
        inner.narrow(axis, 1, n - 1).logical_and_(mask.narrow(axis, 0, n - 1))
        inner.narrow(axis, 0, n - 1).logical_and_(mask.narrow(axis, 1, n - 1))
    return mask & ~inner


def _cropped(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Cut two masks to the box that holds both, with one voxel to spare inside the volume.

    A voxel at the volume's own edge stays at the edge of the box, so that surfaces do not change.
    """
    both = a | b
    for axis in range(3):
        others = [k for k in range(3) if k != axis]
        used = both.any(dim=others[1]).any(dim=others[0]).nonzero()
        if not len(used):
            return a, b
        first = max(int(used[0]) - 1, 0)
        count = min(int(used[-1]) + 2, a.shape[axis]) - first
        a, b, both = (m.narrow(axis, first, count) for m in (a, b, both))
    return a, b


def landmark_errors(transform: Transform, fixed: Tensor, moving: Tensor) -> Tensor:
    """Return |T(fixed point) - moving point| of points (n, 3) RAS+ mm: (n,) mm."""
    return (transform.map_points(fixed) - moving.double()).norm(dim=1)


def error_figures(errors: Tensor) -> Figures:
    """Return mean, median, 95th percentile, and the mean of the largest 30 %, all mm."""
    worst = errors.sort(descending=True)[0][: max(1, round(0.3 * len(errors)))]
    return {
        "tre_mm": float(errors.mean()),
        "tre_mm_median": float(errors.quantile(0.5)),
        "tre_mm_p95": float(errors.quantile(0.95)),
        "tre_mm_hardest30": float(worst.mean()),
    }


def agreement(fixed: Body, moving: Body, transform: Transform) -> Figures:
    """Return how alike the images are inside the fixed body, and how much of it both show.

    `similarity` is the mean squared local correlation, 0 to 1, blind to contrast; `nmi` the
    normalised mutual information, 1 to 2; `overlap_percent` the share of the fixed body that maps
    into the moving image's field of view.
    """
    moved = warp(moving.image[None], moving.grid, fixed.grid, transform, fill=-1)[0]
    body = fixed.mask > 0
    seen = body & (moved >= 0)
    out: Figures = {"similarity": None, "nmi": None}
    if bool(seen.any()):
        a, b = fixed.image, moved.clamp_min(0)
        local = SquaredLNCC(sigma=2)(b[None, None], a[None, None], seen[None, None])
        out = {
            "similarity": 1 - float(local),
            "nmi": normalised_mutual_information(a[seen], b[seen]),
        }
    return out | {"overlap_percent": 100 * float(seen.sum() / body.sum().clamp_min(1))}


def inverse_consistency(
    transform: Transform, inverse: Transform, fixed: Body, moving: Grid
) -> Figures:
    """Return |inverse(T(x)) - x| over the fixed body in mm, where T(x) is in the moving image."""
    index = (fixed.mask > 0).nonzero()
    points = fixed.grid.to_world(index[:: max(1, len(index) // INVERSE_POINTS)])
    there = transform.map_points(points)
    place = moving.to_index(there)
    last = torch.tensor(moving.shape) - 1
    kept = ((place >= 0) & (place <= last)).all(dim=1)
    if not bool(kept.any()):
        return {"inverse_consistency_mm": None, "inverse_consistency_mm_p95": None}
    apart = (inverse.map_points(there[kept]) - points[kept]).norm(dim=1)
    return {
        "inverse_consistency_mm": float(apart.mean()),
        "inverse_consistency_mm_p95": float(apart.quantile(0.95)),
    }


def _bodies(pair: Pair) -> tuple[Body, Body]:
    """Return the fixed and the first moving image, reduced and scaled to [0, 1]."""
    fixed, moving = pair.fixed, pair.moving[0]
    spacings = [spacing_for_voxels(volume.grid, BODY_VOXELS) for volume in (fixed, moving)]
    return (
        find_body(fixed.data, fixed.grid, spacings[0], "fixed"),
        find_body(moving.data, moving.grid, spacings[1], "moving"),
    )


def _mean(values: object) -> float | None:
    known = [v for v in values if v is not None]  # type: ignore[attr-defined]
    return sum(known) / len(known) if known else None
