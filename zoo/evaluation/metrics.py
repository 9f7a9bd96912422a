"""The computation of figures: label overlap, surface and landmark errors, regularity, similarity.

Lengths are in mm. Figures with a suffix `_before` describe the pair as its headers place it, which
is the identity transform. `zoo.evaluation.figures` describes each figure: title, unit, direction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
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
"""Figures by their key in result.json; None if undefined, such as HD95 of a vanished label."""

BODY_VOXELS = 1_200_000  # size of the lattice on which the images are compared
INVERSE_POINTS = 20_000  # points at which the inverse consistency is measured


@dataclass(frozen=True)
class Measured:
    """The figures of a pair, and the figures of each label that both images have."""

    figures: Figures
    labels: dict[str, Figures] = field(default_factory=dict)


def measure(
    pair: Pair,
    transform: Transform,
    inverse: Transform | None = None,
    uncertainty: Tensor | None = None,
) -> Measured:
    """Return all figures of a transform fixed -> moving that the annotations of the pair allow.

    `uncertainty` is the standard deviation of the displacement, [X, Y, Z] in mm on the fixed grid.
    """
    require_finite(transform, "the transform")
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
    fixed, moving = pair_bodies(pair, BODY_VOXELS)
    for when, map_ in (("before", before), ("after", after)):
        out |= {f"{k}_{when}": v for k, v in agreement(fixed, moving, map_).items()}
    if inverse is not None:
        out |= inverse_consistency(transform, inverse.to("cpu"), fixed, pair.moving[0].grid)
    if uncertainty is not None:
        out |= uncertainty_figures(uncertainty, pair.fixed.grid, fixed)
    return Measured(out, labels)


def require_finite(transform: Transform, name: str) -> None:
    """Raise an error if a transform has NaN or Inf, which make every figure meaningless."""
    if transform.field is None or bool(torch.isfinite(transform.field).all()):
        return
    bad = int((~torch.isfinite(transform.field)).any(dim=0).sum())
    raise UserError(
        f"{name} has {bad} voxels with NaN or Inf, but only finite displacements can be evaluated; "
        "register the pair again, or correct the program that wrote the field"
    )


def regularity(transform: Transform, grid: Grid) -> Figures:
    """Return folding, spread of the volume change, and the length of the displacements in mm.

    The displacements are those of the dense part, without the affine part.
    """
    determinant = jacobian_determinant(transform, grid)
    out: Figures = {
        "folding_percent": folding_percent(determinant),
        "sd_log_jacobian": sd_log_jacobian(determinant),
    }
    if transform.field is not None:
        squares = transform.field.square().sum(dim=0).flatten()
        lengths = torch.from_numpy(np.sqrt(squares.numpy()))  # 10 times as fast as Tensor.norm
        out["deformation_mm_mean"] = float(lengths.double().mean())
        rank = max(1, math.ceil(0.99 * len(lengths)))
        out["deformation_mm_p99"] = float(lengths.kthvalue(rank)[0])
    return out


def per_label(pair: Pair, before: Transform, after: Transform) -> dict[str, Figures]:
    """Return Dice and HD95, before and after, of each label except 0 that both images have."""
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
    """Return the 95th percentile of the distance between the surfaces of two masks, in mm.

    It is the larger one of both directions, and None if a mask is empty. A surface voxel has at
    least one of its six faces outside of the mask; distances are between voxel centres.
    """
    from scipy.spatial import cKDTree

    points_a, points_b = (surface(m.bool()).nonzero().numpy() * np.array(spacing) for m in (a, b))
    if not len(points_a) or not len(points_b):
        return None
    a_to_b = cKDTree(points_b).query(points_a)[0]
    b_to_a = cKDTree(points_a).query(points_b)[0]
    return float(max(np.percentile(a_to_b, 95), np.percentile(b_to_a, 95)))


def surface(mask: Tensor) -> Tensor:
    """Return the voxels of a mask [X, Y, Z] that touch its outside or the edge of the volume."""
    inner = mask.clone()
    for axis in range(3):
        n = mask.shape[axis]
        inner.narrow(axis, 0, 1).fill_(False)
        inner.narrow(axis, n - 1, 1).fill_(False)
        inner.narrow(axis, 1, n - 1).logical_and_(mask.narrow(axis, 0, n - 1))
        inner.narrow(axis, 0, n - 1).logical_and_(mask.narrow(axis, 1, n - 1))
    return mask & ~inner


def _cropped(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Crop two masks to the bounding box of both, with a margin of one voxel inside the volume.

    A voxel at the edge of the volume remains at the edge of the box: surfaces do not change.
    """
    union = a | b
    for axis in range(3):
        others = [k for k in range(3) if k != axis]
        used = union.any(dim=others[1]).any(dim=others[0]).nonzero()
        if not len(used):
            return a, b
        first = max(int(used[0]) - 1, 0)
        count = min(int(used[-1]) + 2, a.shape[axis]) - first
        a, b, union = (m.narrow(axis, first, count) for m in (a, b, union))
    return a, b


def landmark_errors(transform: Transform, fixed: Tensor, moving: Tensor) -> Tensor:
    """Return |T(fixed point) - moving point| (n,) in mm for points (n, 3) in RAS+ mm."""
    errors: Tensor = (transform.map_points(fixed) - moving.double()).norm(dim=1)
    return errors


def error_figures(errors: Tensor) -> Figures:
    """Return mean, median, 95th percentile and the mean of the largest 30 % of errors in mm."""
    worst = errors.sort(descending=True)[0][: max(1, round(0.3 * len(errors)))]
    return {
        "tre_mm": float(errors.mean()),
        "tre_mm_median": float(errors.quantile(0.5)),
        "tre_mm_p95": float(errors.quantile(0.95)),
        "tre_mm_hardest30": float(worst.mean()),
    }


def agreement(fixed: Body, moving: Body, transform: Transform) -> Figures:
    """Return the similarity of the images inside the fixed body, and how much of it both show.

    `similarity` is the mean squared local correlation, 0 to 1, which does not depend on the
    contrast. `nmi` is the normalised mutual information, 1 to 2. `overlap_percent` is the share of
    the fixed body that maps into the moving image's field of view.
    """
    warped = warp(moving.image[None], moving.grid, fixed.grid, transform, fill=-1)[0]
    body = fixed.mask > 0
    common = body & (warped >= 0)
    out: Figures = {"similarity": None, "nmi": None}
    if bool(common.any()):
        a, b = fixed.image, warped.clamp_min(0)
        local = SquaredLNCC(sigma=2)(b[None, None], a[None, None], common[None, None])
        out = {
            "similarity": 1 - float(local),
            "nmi": normalised_mutual_information(a[common], b[common]),
        }
    return out | {"overlap_percent": 100 * float(common.sum() / body.sum().clamp_min(1))}


def inverse_consistency(
    transform: Transform, inverse: Transform, fixed: Body, moving: Grid
) -> Figures:
    """Return |inverse(T(x)) - x| in mm, over the points x of the fixed body.

    Points that T maps out of the moving image are left out.
    """
    index = (fixed.mask > 0).nonzero()
    points = fixed.grid.to_world(index[:: max(1, len(index) // INVERSE_POINTS)])
    mapped = transform.map_points(points)
    mapped_index = moving.to_index(mapped)
    last = torch.tensor(moving.shape) - 1
    inside = ((mapped_index >= 0) & (mapped_index <= last)).all(dim=1)
    if not bool(inside.any()):
        return {"inverse_consistency_mm": None, "inverse_consistency_mm_p95": None}
    distances = (inverse.map_points(mapped[inside]) - points[inside]).norm(dim=1)
    return {
        "inverse_consistency_mm": float(distances.mean()),
        "inverse_consistency_mm_p95": float(distances.quantile(0.95)),
    }


def uncertainty_figures(uncertainty: Tensor, grid: Grid, fixed: Body) -> Figures:
    """Return mean and 95th percentile, in the fixed body, of an uncertainty [X, Y, Z] on `grid`."""
    values = warp(uncertainty[None], grid, fixed.grid, Transform.identity())[0][fixed.mask > 0]
    if not len(values):
        return {"uncertainty_mm_mean": None, "uncertainty_mm_p95": None}
    return {
        "uncertainty_mm_mean": float(values.double().mean()),
        "uncertainty_mm_p95": float(values.quantile(0.95)),
    }


def pair_bodies(pair: Pair, voxels: int) -> tuple[Body, Body]:
    """Return the fixed and the first moving image, averaged to about `voxels` voxels, in [0, 1]."""
    fixed, moving = pair.fixed, pair.moving[0]
    spacings = [spacing_for_voxels(volume.grid, voxels) for volume in (fixed, moving)]
    return (
        find_body(fixed.data, fixed.grid, spacings[0], "fixed"),
        find_body(moving.data, moving.grid, spacings[1], "moving"),
    )


def _mean(values: object) -> float | None:
    known = [v for v in values if v is not None]  # type: ignore[attr-defined]
    return sum(known) / len(known) if known else None
