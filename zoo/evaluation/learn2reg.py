"""The metrics of the Learn2Reg challenge, computed as its evaluation script computes them.

They exist for comparison with published results: lengths are in voxels, or treat a voxel as a
millimetre, and the Jacobian determinant is shifted by 3. `zoo.evaluation.metrics` computes the
figures in world units. A displacement in this module is float64 [X, Y, Z, 3] in voxels, component k
along array axis k: voxel i of the fixed image corresponds to i + d(i) in the moving image.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from zoo.datasets.pairs import Pair
from zoo.evaluation.metrics import Figures, require_finite
from zoo.geometry import Grid, Transform
from zoo.io.learn2reg import read_learn2reg

Array = NDArray[np.float64]
Labels = NDArray[np.integer]

QUANTILE30 = {
    "l2r_dice": 0.3,
    "l2r_hd95": 0.3,
    "l2r_tre": 0.7,
    "l2r_sdlogj": 0.7,
    "l2r_sdlogj_masked": 0.7,
}
"""The quantile over the cases that the challenge calls "30".

30 % of the cases are worse, except for HD95, where 30 % are better.
"""


def learn2reg_figures(pair: Pair, transform: Transform, field: Array | None = None) -> Figures:
    """Return the Learn2Reg figures of a transform fixed -> moving, which must be finite.

    `field` is the displacement, if the transform was read from a Learn2Reg file: a conversion to mm
    and back would change its last bits.
    """
    require_finite(transform, "the transform")
    moving = pair.moving[0].grid
    field = displacement(transform, pair.fixed.grid, moving) if field is None else field
    out: Figures = {"l2r_sdlogj": sdlogj(field)}
    if pair.fixed_mask is not None:
        out["l2r_sdlogj_masked"] = sdlogj(field, pair.fixed_mask.data.numpy())
    if pair.fixed_labels is not None and pair.moving_labels is not None:
        fixed, original = (v.data.numpy() for v in (pair.fixed_labels, pair.moving_labels))
        warped = warped_labels(original, field)
        labels = sorted((set(np.unique(fixed).tolist()) | set(np.unique(original).tolist())) - {0})
        out["l2r_dice"] = _nanmean(dice(fixed, warped, original, label) for label in labels)
        out["l2r_hd95"] = _nanmean(hd95(fixed, warped, original, label) for label in labels)
    if pair.fixed_points is not None and pair.moving_points is not None:
        points = pair.fixed.grid.to_index(pair.fixed_points).numpy()
        targets = moving.to_index(pair.moving_points).numpy()
        out["l2r_tre"] = float(tre(points, targets, field, moving.spacing).mean())
    return out


def read_displacement(path: Path, shape: Sequence[int]) -> Array:
    """Return the displacement [X, Y, Z, 3] in a Learn2Reg file, for a fixed image of `shape`."""
    voxels = Grid.from_spacing(shape)
    field = read_learn2reg(path, voxels, voxels).field
    assert field is not None
    return np.moveaxis(field.numpy().astype(np.float64), 0, -1)


def displacement(transform: Transform, fixed: Grid, moving: Grid) -> Array:
    """Return a transform fixed -> moving as a Learn2Reg displacement, [X, Y, Z, 3] in voxels."""
    dense = transform.to("cpu").dense_on(fixed)
    assert dense.field is not None
    into = moving.inverse @ fixed.affine
    linear = moving.inverse[:3, :3].numpy()
    step: Array = np.einsum("kj,jxyz->xyzk", linear, dense.field.numpy().astype(np.float64))
    change = (into - torch.eye(4, dtype=torch.float64)).numpy()
    if np.abs(change).max() > 1e-9:
        axes = np.meshgrid(*(np.arange(n) for n in fixed.shape), indexing="ij", sparse=True)
        for k in range(3):
            step[..., k] += sum(change[k, j] * axes[j] for j in range(3)) + change[k, 3]
    return step


def warped_labels(labels: Labels, field: Array) -> Labels:
    """Warp the moving labels [X, Y, Z] by nearest neighbour, with 0 outside of the image."""
    from scipy.ndimage import map_coordinates

    shape = field.shape[:3]
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")).astype(float)
    index += np.moveaxis(field, -1, 0)
    warped: Labels = map_coordinates(labels, index, order=0)
    return warped


def sdlogj(field: Array, mask: Labels | None = None) -> float | None:
    """Return the standard deviation of log(J + 3) by central differences.

    The outer two layers of voxels are left out, and so are voxels that are not 1 in the mask. The
    shift by 3 makes the value about four times smaller than the standard deviation of log J. It is
    None if no voxel remains.
    """
    rows = []
    for axis in range(3):
        gradient = np.gradient(field, axis=axis)[2:-2, 2:-2, 2:-2]
        gradient[..., axis] += 1
        rows.append(gradient)
    determinant = np.linalg.det(np.stack(rows, axis=-1))
    logarithm = np.log(np.clip(determinant + 3, 1e-9, 1e9))
    if mask is not None:
        logarithm = logarithm[mask[2:-2, 2:-2, 2:-2] == 1]
    return float(logarithm.std()) if logarithm.size else None


def dice(fixed: Labels, warped: Labels, moving: Labels, label: int) -> float:
    """Return the Dice of one label; NaN if the fixed or the moving image lacks the label."""
    a, b = fixed == label, warped == label
    if not a.any() or not (moving == label).any():
        return math.nan
    return 2 * int((a & b).sum()) / (int(a.sum()) + int(b.sum()))


def hd95(fixed: Labels, warped: Labels, moving: Labels, label: int) -> float:
    """Return the 95th percentile of the surface distance of one label, in voxels.

    Unlike the usual definition, the surfaces run between the voxel centres and their pieces are
    weighted by area. The value is NaN if the fixed or the moving image lacks the label.
    """
    from scipy.spatial import cKDTree

    if not (fixed == label).any() or not (moving == label).any():
        return math.nan
    (one, area_one), (two, area_two) = (surface_pieces(m == label) for m in (fixed, warped))
    if not len(two):
        return math.inf
    there, back = cKDTree(two).query(one)[0], cKDTree(one).query(two)[0]
    return max(_percentile(there, area_one), _percentile(back, area_two))


def tre(points: Array, targets: Array, field: Array, spacing: Sequence[float]) -> Array:
    """Return the landmark errors (n,) in mm, with the spacing of the moving image.

    `points` (n, 3) are in voxels of the fixed image, `targets` (n, 3) in voxels of the moving one.
    """
    from scipy.ndimage import map_coordinates

    step = [map_coordinates(field[..., k], points.T, order=3, mode="constant") for k in range(3)]
    errors: Array = np.linalg.norm(
        (points + np.stack(step, axis=1) - targets) * np.array(spacing), axis=1
    )
    return errors


def surface_pieces(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Array]:
    """Return the places (n, 3) where the surface of a mask is, and its area (n,) at each of them.

    A place is the corner where eight voxels meet. The surface passes through it if some of the
    eight are in the mask and some are not.
    """
    inside = np.argwhere(mask)
    if not len(inside):
        return np.empty((0, 3), dtype=np.int64), np.empty(0)
    low, high = inside.min(axis=0), inside.max(axis=0) + 1
    cut = mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    padded = np.pad(cut, 1).astype(np.uint8)
    code = np.zeros([n - 1 for n in padded.shape], dtype=np.uint8)
    for bit, corner in enumerate(CORNERS):
        part = tuple(slice(c, n - 1 + c) for c, n in zip(corner, padded.shape, strict=True))
        code |= padded[part] << bit
    where = np.argwhere((code > 0) & (code < 255))
    return where + low, piece_areas()[code[tuple(where.T)]]


CORNERS = list(itertools.product((0, 1), repeat=3))

PIECES: Mapping[tuple[int, ...], float] = {
    (0,): math.sqrt(3) / 8,
    (0, 1): math.sqrt(2) / 2,
    (0, 3): math.sqrt(3) / 4,
    (0, 7): math.sqrt(3) / 4,
    (0, 1, 2): 1 / 2 + 3 * math.sqrt(3) / 8,
    (0, 1, 6): math.sqrt(2) / 2 + math.sqrt(3) / 8,
    (0, 3, 5): 3 * math.sqrt(3) / 8,
    (0, 1, 2, 3): 1.0,
    (0, 1, 2, 4): 3 * math.sqrt(3) / 4,
    (0, 1, 2, 5): math.sqrt(2) / 2 + math.sqrt(3) / 2,
    (0, 1, 2, 7): 1 / 2 + math.sqrt(3) / 2,
    (0, 1, 6, 7): math.sqrt(2),
    (0, 3, 5, 6): math.sqrt(3) / 2,
}
"""Surface area by marching cubes for sets of corners inside a surface (indices in CORNERS).

Any other set is a rotation, a reflection or the complement of one of these.
"""


@cache
def piece_areas() -> Array:
    """Return the surface area of each of the 256 sets of corners; bit k is CORNERS[k]."""
    areas = np.full(256, np.nan)
    areas[0] = areas[255] = 0
    for corners, area in PIECES.items():
        for order in itertools.permutations(range(3)):
            for flip in CORNERS:
                turned = [tuple(CORNERS[c][a] ^ flip[a] for a in order) for c in corners]
                code = sum(1 << CORNERS.index((t[0], t[1], t[2])) for t in turned)
                areas[code] = areas[255 - code] = area
    assert np.isfinite(areas).all()
    return areas


def _percentile(distances: Array, areas: Array) -> float:
    """Return the distance that 95 % of the area does not exceed."""
    order = np.argsort(distances, kind="stable")
    share = np.cumsum(areas[order]) / areas.sum()
    rank = min(int(np.searchsorted(share, 0.95)), len(order) - 1)
    return float(distances[order][rank])


def _nanmean(values: object) -> float | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        mean = float(np.nanmean(np.array(list(values))))  # type: ignore[call-overload]
    return mean if math.isfinite(mean) else None
