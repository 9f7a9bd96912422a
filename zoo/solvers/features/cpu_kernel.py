"""Compiled comparison of features on the CPU: sampling, residual and gradient in one pass.

With torch, sampling and its derivative read the eight neighbours of every position twice, and the
residuals are written and read in between.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zoo.solvers.compilation import compiled, compiled_for

Array = NDArray[np.float32]
Indices = NDArray[np.uint64]
"""Unsigned, because numba checks whether a signed index counts from the end."""


@compiled
def _cell(position: np.float32, size: int) -> tuple[int, int, np.float32]:
    """Return the voxel below a position, the step to the next one, and the part of it.

    The step is 0 on and beyond the border, where the derivative is zero.
    """
    if not position > 0:  # also for NaN, which must not become an address
        return 0, 0, np.float32(0)
    if position >= size - 1:
        return size - 1, 0, np.float32(0)
    low = int(position)
    return low, 1, np.float32(position - low)


@compiled
def _add_channel(
    moving: Array,
    fixed: Array,
    first: Indices,
    steps: Indices,
    parts: Array,
    slopes: Array,
    squares: Array,
) -> None:
    """Add the squared differences of one channel of a row, and half of their derivatives."""
    for k in range(len(fixed)):
        at = first[k]
        x, y, z = steps[0, k], steps[1, k], steps[2, k]
        u, v, w = parts[0, k], parts[1, k], parts[2, k]
        c000, c001, c010, c011 = moving[at], moving[at + z], moving[at + y], moving[at + y + z]
        at += x
        c100, c101, c110, c111 = moving[at], moving[at + z], moving[at + y], moving[at + y + z]
        # Interpolated along z, then along y, then along x.
        d00, d01, d10, d11 = c001 - c000, c011 - c010, c101 - c100, c111 - c110
        e00, e01, e10, e11 = c000 + w * d00, c010 + w * d01, c100 + w * d10, c110 + w * d11
        f0, f1 = e00 + v * (e01 - e00), e10 + v * (e11 - e10)
        near, far = d00 + v * (d01 - d00), d10 + v * (d11 - d10)
        along_y = (e01 - e00) + u * ((e11 - e10) - (e01 - e00))
        residual = f0 + u * (f1 - f0) - fixed[k]
        squares[k] += residual * residual
        slopes[0, k] += residual * (f1 - f0)
        slopes[1, k] += residual * along_y
        slopes[2, k] += residual * (near + u * (far - near))


@compiled_for(
    "float64(float32[:,:,:,::1], float32[:,:], UniTuple(int64, 3), float32[:,:,:,::1],"
    " float32[:,:,::1], float32[:,:,:,::1], int64)"
)
def compare_rows(
    fixed: Array,
    moving: Array,
    shape: tuple[int, int, int],
    index: Array,
    weight: Array,
    gradient: Array,
    start: int,
) -> float:
    """Write the gradient of the weighted squared difference, and return that difference.

    `index` and `gradient` are [3, x, y, z]. The rows from `start` on are compared, as many as there
    are in `fixed` [C, rows, y, z] and in `weight` [rows, y, z], or [1, 1, 1] for one weight of all
    cells. `moving` [C, X Y Z] has a volume of `shape` (X, Y, Z) in each row, whose border is
    repeated.
    """
    channels, nx, ny, nz = fixed.shape
    weighted = weight.size > 1
    first = np.empty(nz, np.uint64)
    steps = np.empty((3, nz), np.uint64)
    parts, slopes = np.empty((3, nz), np.float32), np.empty((3, nz), np.float32)
    squares = np.empty(nz, np.float32)
    total = 0.0
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                first[k] = 0
                size = 1
                for axis in range(2, -1, -1):
                    cell, step, part = _cell(index[axis, start + i, j, k], shape[axis])
                    first[k] += cell * size
                    steps[axis, k], parts[axis, k] = step * size, part
                    size *= shape[axis]
                    slopes[axis, k] = 0
                squares[k] = 0
            for channel in range(channels):
                _add_channel(
                    moving[channel], fixed[channel, i, j], first, steps, parts, slopes, squares
                )
            for k in range(nz):
                share = weight[i, j, k] if weighted else weight[0, 0, 0]
                total += share * squares[k]
                for axis in range(3):
                    inside = steps[axis, k] > 0
                    slope = 2 * share * slopes[axis, k] if inside else np.float32(0)
                    gradient[axis, start + i, j, k] = slope
    return total
