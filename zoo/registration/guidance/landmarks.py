"""A transform from corresponding landmarks: a smooth spline that passes near to them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from zoo.geometry import Grid, Transform

LOCALISATION_MM = 1.0
"""The error of a landmark that the spline may leave, about that of an observer."""

_LATTICE = 40  # points per axis at which the spline is evaluated; it is smooth in between
_SPREAD = 0.1  # smallest ratio of the extents of landmarks for which an affine part is estimated
_FEWEST_FOR_AFFINE = 8


def landmark_transform(
    fixed: Tensor, moving: Tensor, grid: Grid, *, affine_part: bool = True
) -> Transform:
    """Return a transform that takes landmarks `fixed` (n, 3) near to `moving` (n, 3), RAS+ mm.

    It is the smoothest map in the sense of the three-dimensional thin-plate spline, on a lattice
    over `grid`. It has an affine part if `affine_part` is set and the landmarks determine one, and
    a shift otherwise.
    """
    from scipy.interpolate import RBFInterpolator

    positions, targets = fixed.double().numpy(), moving.double().numpy()
    affine = _affine(positions, targets) if affine_part else np.eye(4)
    residual = targets - positions @ affine[:3, :3].T - affine[:3, 3]
    lattice = grid.resize([min(n, _LATTICE) for n in grid.shape])
    index = torch.cartesian_prod(*[torch.arange(float(n)) for n in lattice.shape])
    spline = RBFInterpolator(
        positions, residual, kernel="linear", degree=0, smoothing=LOCALISATION_MM
    )
    steps = spline(lattice.to_world(index).numpy()) @ np.linalg.inv(affine[:3, :3]).T
    field = torch.from_numpy(steps).float().T.reshape(3, *lattice.shape)
    return Transform(torch.from_numpy(affine), field, lattice)


def _affine(positions: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the affine map of least squares, 4x4; a shift if the landmarks are few or flat."""
    matrix = np.eye(4)
    centre = positions.mean(axis=0)
    extents = np.linalg.svd(positions - centre, compute_uv=False)
    if len(positions) >= _FEWEST_FOR_AFFINE and extents[-1] >= _SPREAD * extents[0]:
        columns = np.column_stack([positions, np.ones(len(positions))])
        solution = np.linalg.lstsq(columns, targets, rcond=None)[0].T
        if np.linalg.det(solution[:, :3]) > 0:
            matrix[:3] = solution
            return matrix
    matrix[:3, 3] = (targets - positions).mean(axis=0)
    return matrix
