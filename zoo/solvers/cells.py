"""Grids of cubic cells: pooling voxels to cells, averaging over cells, and resampling.

All grids of one image start at the same corner; cell i of stride n is centred at voxel
`n * i + (n - 1) / 2`.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.geometry.sampling import Outside, identity_index, sample

_ROWS = 8  # along the first axis, that are pooled at once


def pool_cells(volume: Tensor, stride: int) -> Tensor:
    """Average [B, C, X, Y, Z] over cells of `stride` voxels per side.

    Returns [B, C, ceil(X / stride), ..]. An axis that is not a multiple of the stride is continued
    with its last values, so that no voxel is left out and cell i is always centred at voxel
    `stride * i + (stride - 1) / 2`.
    """
    if stride == 1:
        return volume
    missing = [-n % stride for n in volume.shape[2:]]
    if any(missing):
        x, y, z = missing
        volume = F.pad(volume, [0, z, 0, y, 0, x], mode="replicate")
    # avg_pool3d copies a volume with channels last; slabs keep that copy small.
    slabs = volume.split(stride * max(1, _ROWS // stride), 2)
    return torch.cat([F.avg_pool3d(slab, stride) for slab in slabs], 2)


def box_mean(volume: Tensor, radius: int, edge: Literal["zeros", "replicate"] = "zeros") -> Tensor:
    """Average [..., X, Y, Z] over cubes of `2 * radius + 1` cells, one axis after another.

    Beyond the border the volume is zero, which makes the filter its own adjoint, or with
    "replicate" the border is repeated.
    """
    for axis in (-3, -2, -1):
        n = volume.shape[axis]
        total = volume.clone()
        for shift in range(1, radius + 1):
            k = min(shift, n)
            total.narrow(axis, k, n - k).add_(volume.narrow(axis, 0, n - k))
            total.narrow(axis, 0, n - k).add_(volume.narrow(axis, k, n - k))
            if edge == "replicate":
                total.narrow(axis, 0, k).add_(volume.narrow(axis, 0, 1))
                total.narrow(axis, n - k, k).add_(volume.narrow(axis, n - 1, 1))
        volume = total
    return volume.mul_((2 * radius + 1) ** -3)


def sample_displaced(volume: Tensor, field: Tensor, outside: Outside = "border") -> Tensor:
    """Sample `volume` [1, C, x, y, z] at i + field(i), for `field` [1, 3, x, y, z] in cells."""
    index = identity_index(field.shape[2:], device=field.device) + field
    return sample(volume, index, outside=outside)


def upsample_cells(volume: Tensor, ratio: float, shape: Sequence[int]) -> Tensor:
    """Interpolate [1, C, x, y, z] linearly to a grid of `shape` with cells `ratio` times smaller.

    Both grids start at the same corner. Beyond the outermost cell centres the border is repeated.
    """
    if ratio == 1:
        return volume
    volume = F.interpolate(
        volume, scale_factor=ratio, mode="trilinear", recompute_scale_factor=False
    )
    missing = [max(0, want - have) for want, have in zip(shape, volume.shape[2:], strict=True)]
    if any(missing):
        x, y, z = missing
        volume = F.pad(volume, [0, z, 0, y, 0, x], mode="replicate")
    return volume[:, :, : shape[0], : shape[1], : shape[2]]


def pad_to_multiple(image: Tensor, stride: int) -> Tensor:
    """Continue [C, X, Y, Z] with its last values until every axis is a multiple of `stride`."""
    x, y, z = (-n % stride for n in image.shape[1:])
    return F.pad(image[None], [0, z, 0, y, 0, x], mode="replicate")[0] if x or y or z else image
