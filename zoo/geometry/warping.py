"""Resampling a moving volume onto the fixed grid, in slabs."""

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
    """Pull `volume` [C, X, Y, Z] on the grid `moving` onto the grid `fixed` -> [C, x, y, z].

    "linear" and "cubic" (B-spline) give float32; "nearest" keeps the type, for labels. A voxel
    that maps more than half a voxel outside the moving volume gets `fill`. Works in slabs: beside
    the result and a float32 copy of the volume it needs a few tens of MB.
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
