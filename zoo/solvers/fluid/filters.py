"""Compiled separable filters for the CPU, whose rows along the first axis threads can share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zoo.solvers.compilation import compiled

Array = NDArray[np.float32]


@compiled
def filter_plane(plane: Array, taps: Array, spare: Array, out: Array) -> None:
    """Filter a plane [Y, Z] with symmetric taps along both axes; beyond the ends it is zero."""
    ny, nz = plane.shape
    reach = len(taps) // 2
    for j in range(ny):
        for k in range(nz):
            spare[j, k] = taps[reach] * plane[j, k]
        for t in range(1, reach + 1):
            tap = taps[reach + t]
            for k in range(nz - t):
                spare[j, k] += tap * plane[j, k + t]
            for k in range(t, nz):
                spare[j, k] += tap * plane[j, k - t]
    for j in range(ny):
        for k in range(nz):
            out[j, k] = taps[reach] * spare[j, k]
        for t in range(1, reach + 1):
            tap = taps[reach + t]
            if j + t < ny:
                for k in range(nz):
                    out[j, k] += tap * spare[j + t, k]
            if j - t >= 0:
                for k in range(nz):
                    out[j, k] += tap * spare[j - t, k]


@compiled
def filter_first(volume: Array, taps: Array, i: int, out: Array) -> None:
    """Filter row `i` of a volume along the first axis into the plane `out`; zero beyond."""
    nx, ny, nz = volume.shape
    reach = len(taps) // 2
    for j in range(ny):
        for k in range(nz):
            out[j, k] = taps[reach] * volume[i, j, k]
    for t in range(1, reach + 1):
        tap = taps[reach + t]
        if i + t < nx:
            for j in range(ny):
                for k in range(nz):
                    out[j, k] += tap * volume[i + t, j, k]
        if i - t >= 0:
            for j in range(ny):
                for k in range(nz):
                    out[j, k] += tap * volume[i - t, j, k]


@compiled
def smooth_first(volumes: Array, taps: Array, out: Array, start: int, stop: int) -> None:
    """Filter [C, X, Y, Z] along the first axis of the volumes."""
    for i in range(start, stop):
        for m in range(volumes.shape[0]):
            filter_first(volumes[m], taps, i, out[m, i])


@compiled
def smooth_planes(volumes: Array, taps: Array, out: Array, start: int, stop: int) -> None:
    """Filter [C, X, Y, Z] along the other two axes."""
    spare = np.empty(volumes.shape[2:], np.float32)
    for i in range(start, stop):
        for m in range(volumes.shape[0]):
            filter_plane(volumes[m, i], taps, spare, out[m, i])
