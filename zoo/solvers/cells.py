"""Grids of cubic cells: from voxels to coarser cells and back.

Every grid of one image starts at the same corner; cell i of stride n is centred at voxel
`n * i + (n - 1) / 2`.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.geometry.sampling import Outside, identity_index, sample

_ROWS = 8  # along the first axis, that are pooled at once


def pool(volume: Tensor, stride: int) -> Tensor:
    """Average [B, C, X, Y, Z] over cells of `stride` voxels a side -> [B, C, ceil(X / stride), ..].

    An axis that the stride does not divide is continued with its last values, so that no voxel is
    left out and cell i is always centred at voxel `stride * i + (stride - 1) / 2`.
    """
    if stride == 1:
        return volume
    missing = [-n % stride for n in volume.shape[2:]]
    if any(missing):
        x, y, z = missing
        volume = F.pad(volume, [0, z, 0, y, 0, x], mode="replicate")
    slabs = volume.split(stride * max(1, _ROWS // stride), 2)  # it copies what is not in its order
    return torch.cat([F.avg_pool3d(slab, stride) for slab in slabs], 2)


def follow(volume: Tensor, field: Tensor, outside: Outside = "border") -> Tensor:
    """Read `volume` [1, C, x, y, z] where `field` [1, 3, x, y, z] (its cells) points to."""
    index = identity_index(field.shape[2:], device=field.device) + field
    return sample(volume, index, outside=outside)


def enlarge(volume: Tensor, ratio: float, shape: Sequence[int]) -> Tensor:
    """Interpolate [1, C, x, y, z] linearly to cells `ratio` times smaller, `shape` of them.

    Both grids start at the same corner; beyond the outermost centres the edge is repeated.
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


def complete(image: Tensor, stride: int) -> Tensor:
    """Continue [C, X, Y, Z] with its last values until `stride` divides every axis."""
    x, y, z = (-n % stride for n in image.shape[1:])
    return F.pad(image[None], [0, z, 0, y, 0, x], mode="replicate")[0] if x or y or z else image
