"""Padding: voxels without data, to which a file gives one constant value.

A scanner or a program fills what it did not measure with a constant: the corners outside a round
field of view, the voxels outside a mask, the part beyond the end of a scan that was resampled or
cut. Such a region reaches the border of the grid. Nothing is known about what lies in it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.geometry.grid import Grid

BLOCKS = 96
"""Blocks along the longest axis, on whose grid the padding is followed from the border."""
LEAST = 0.02
"""Fraction of an image from which a constant region counts as padding."""


def find_data(image: Tensor) -> Tensor | None:
    """Return where `image` [X, Y, Z] has data, bool [X, Y, Z], or None if it has no padding.

    The padding has exactly the most frequent value of the border of the image and is connected to
    that border. Measured air is data: noise does not have one value in all voxels of a block.
    """
    value = _border_value(image)
    constant = image == value
    if float(constant.float().mean()) < LEAST:
        return None
    step = max(2, -(-max(image.shape) // BLOCKS))
    # The last blocks may reach beyond the image, where they count as constant.
    sizes = [-(-n // step) * step - n for n in image.shape]
    varied = F.pad((~constant).float()[None, None], [p for n in sizes[::-1] for p in (0, n)])
    padding = _connected_to_border(F.max_pool3d(varied, step)[0, 0] == 0)
    if float(padding.float().mean()) < LEAST / 2:
        return None  # single blocks of noise
    # A block at the edge of the padding contains both padding and data.
    padding = _dilated(padding)
    for axis, n in enumerate(image.shape):
        padding = padding.repeat_interleave(step, axis).narrow(axis, 0, n)
    padding &= constant
    if float(padding.float().mean()) < LEAST or bool(padding.all()):
        return None
    return ~padding


def box_of(data: Tensor, grid: Grid) -> tuple[tuple[slice, slice, slice], Grid]:
    """Return the slices of the smallest box that contains all voxels of `data`, and its grid."""
    box, shift = [], torch.eye(4, dtype=torch.float64)
    for axis in range(3):
        covered = data.movedim(axis, 0).flatten(1).any(dim=1).nonzero()
        box.append(slice(int(covered.min()), int(covered.max()) + 1))
        shift[axis, 3] = box[axis].start
    x, y, z = box
    shape = (x.stop - x.start, y.stop - y.start, z.stop - z.start)
    return (x, y, z), Grid(shape, grid.affine @ shift)


def _border_value(image: Tensor) -> Tensor:
    """Return the most frequent value on the six faces of `image`."""
    border = torch.cat([image.select(k, end).flatten() for k in range(3) for end in (0, -1)])
    values, counts = border.unique(return_counts=True)
    most_frequent: Tensor = values[counts.argmax()]
    return most_frequent


def _connected_to_border(region: Tensor) -> Tensor:
    """Return the part of `region` [X, Y, Z] (bool) that is connected to a face of the grid."""
    from scipy.ndimage import binary_propagation

    seeds = torch.zeros_like(region)
    for axis in range(3):
        for end in (0, -1):
            seeds.select(axis, end).copy_(region.select(axis, end))
    spread = binary_propagation(seeds.cpu().numpy(), mask=region.cpu().numpy())
    return torch.from_numpy(spread).to(region.device)


def _dilated(region: Tensor) -> Tensor:
    return F.max_pool3d(region.float()[None, None], 3, 1, 1)[0, 0] > 0
