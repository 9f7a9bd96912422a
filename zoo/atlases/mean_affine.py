"""The mean of affine maps, which treats a map and its inverse alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.linalg import expm, logm
from torch import Tensor

from zoo.errors import UserError

STEPS = 50
"""The largest number of steps towards the mean; a few suffice unless the maps are far apart."""
TOLERANCE = 1e-12
IMAGINARY = 1e-6
"""The largest imaginary part of a logarithm that is a rounding error."""


def mean_affine(maps: Sequence[Tensor]) -> Tensor:
    """Return the bi-invariant mean of affine maps, 4x4 float64, in RAS+ mm.

    It is the map M for which the logarithms of inv(M) A over all maps A add up to zero, found by
    repeated log-Euclidean means (Arsigny et al. 2006, Pennec and Arsigny 2013). The mean of A and
    inv(A) is the identity, and a change of the coordinates of either side changes the mean with it.
    """
    mean = torch.as_tensor(expm(_mean_log(maps)))
    for _ in range(STEPS):
        back = torch.linalg.inv(mean)
        step = _mean_log([back @ matrix for matrix in maps])
        mean = mean @ torch.as_tensor(expm(step))
        if float(np.abs(step[:3]).max()) < TOLERANCE * max(1.0, float(mean.abs().max())):
            break
    return mean


def affine_log(matrix: Tensor) -> np.ndarray:
    """Return the real logarithm of an affine map, 4x4 float64.

    A map that mirrors or turns by about half a turn has none, which is a `UserError`.
    """
    log = logm(matrix.double().cpu().numpy(), disp=False)[0]
    if not np.isfinite(log).all() or float(np.abs(np.imag(log)).max()) > IMAGINARY:
        raise UserError(
            "two images of the group differ by a reflection or by half a turn, so that their "
            "affine maps have no mean; correct the headers (regzoo check finds the image)"
        )
    return np.asarray(np.real(log), dtype=np.float64)


def _mean_log(maps: Sequence[Tensor]) -> np.ndarray:
    return np.asarray(np.mean([affine_log(matrix) for matrix in maps], axis=0))
