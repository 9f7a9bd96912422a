"""Resampling of a moving volume onto the fixed grid, slab by slab."""

from typing import Literal

import torch
from torch import Tensor

from zoo.geometry.grid import Grid
from zoo.geometry.sampling import (
    inside,
    sample,
    sample_cubic,
    sample_nearest,
    spline_coefficients,
)
from zoo.geometry.transform import Transform, slabs

Interpolation = Literal["linear", "cubic", "nearest"]


def warp(
    volume: Tensor,
    moving: Grid,
    fixed: Grid,
    transform: Transform,
    *,
    interpolation: Interpolation = "linear",
    fill: float = 0,
) -> Tensor:
    """Resample `volume` [C, X, Y, Z] from the grid `moving` to the grid `fixed`: [C, x, y, z].

    `transform` maps fixed to moving world points. "linear" and "cubic" (B-spline) return float32;
    "nearest" is meant for labels and keeps their type. Voxels that map more than half a voxel
    outside the moving volume are set to `fill`. Beyond the result and a float32 copy of the volume,
    only a few tens of MB are needed.
    """
    volume = volume.to(transform.device) if transform.field is not None else volume
    source = volume[None] if interpolation == "nearest" else volume[None].float()
    if interpolation == "cubic":
        source = spline_coefficients(source)
    out = torch.empty(len(volume), *fixed.shape, dtype=source.dtype, device=source.device)
    for start, stop in slabs(fixed):
        index = transform.moving_index(fixed, moving, start, stop).to(source.device)
        if interpolation == "nearest":
            out[:, start:stop] = sample_nearest(source, index, fill=fill)[0]
            continue
        part = (sample_cubic if interpolation == "cubic" else sample)(source, index)
        out[:, start:stop] = part.masked_fill_(~inside(index, moving.shape), fill)[0]
    return out
