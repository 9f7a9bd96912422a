"""Three planes through the body of the fixed image, and volumes resampled on them.

A plane is a `Grid` that is one voxel thick. Pictures therefore use the same warping as the results,
and are right for any orientation, spacing and tilt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.geometry import Grid, Transform, match_axes, warp
from zoo.io.volume import Volume
from zoo.measures.body import find_body

Values = NDArray[np.float32]
"""A picture of a plane: [rows, columns], or [rows, columns, 3] in colours, in 0..1."""

WIDTH = 900  # pixels of three planes side by side
GAP = 6  # pixels between two planes
LARGEST_ASPECT = 0.75  # largest height of three planes, relative to their width
SAMPLES = 200_000  # voxels from which the range of intensities is estimated


@dataclass(frozen=True)
class Plane:
    """A slice in radiological view: the patient's right is on the left, the head or face is up.

    `grid` has the shape (columns, rows, 1), with columns to the right and rows down. `slab` is the
    slice with its neighbours in voxels of the fixed image, `layer` the index of the slice in it,
    and `axis` its normal. `letters` are those at the left, the right, the top and the bottom.
    """

    grid: Grid
    slab: Grid
    layer: int
    axis: int
    letters: str


def choose_planes(fixed: Volume, width: int = WIDTH) -> list[Plane]:
    """Return the axial, coronal and sagittal planes through the centre of the image's body.

    Side by side they are about `width` pixels wide.
    """
    _, grid = match_axes(fixed.data, fixed.grid, Grid.from_spacing((1, 1, 1)))
    centre = body_centre(fixed)
    middle = grid.to_index(centre[None])[0].round().long().tolist()
    middle = [min(max(m, 0), n - 1) for m, n in zip(middle, grid.shape, strict=True)]
    x, y, z = (n * s for n, s in zip(grid.shape, grid.spacing, strict=True))
    pixel = max((2 * x + y) / (width - 2 * GAP), max(y, z) / (LARGEST_ASPECT * width))
    views = ((0, 1, "RLAP"), (0, 2, "RLSI"), (1, 2, "APSI"))
    return [_plane(grid, middle, across, down, pixel, letters) for across, down, letters in views]


def body_centre(fixed: Volume) -> Tensor:
    """Return the centre of the body, or of the grid if the image is constant: (3,) RAS+ mm."""
    data = fixed.data.float()
    if float(data.min()) == float(data.max()):
        return fixed.grid.centre
    side = max(n * s for n, s in zip(fixed.grid.shape, fixed.grid.spacing, strict=True))
    return find_body(data, fixed.grid, side / 80, "fixed").centre


def _plane(
    grid: Grid, middle: list[int], across: int, down: int, pixel: float, letters: str
) -> Plane:
    """Return the plane of the axes `across` and `down` of a grid in RAS order, through `middle`.

    Both axes are reversed, so that the patient's right is on the left. `pixel` is in mm.
    """
    axis = 3 - across - down
    change = torch.zeros(4, 4, dtype=torch.float64)
    change[3, 3] = change[axis, 2] = 1
    change[axis, 3] = middle[axis]
    shape = [1, 1, 1]
    for column, a in enumerate((across, down)):
        step = pixel / grid.spacing[a]
        shape[column] = max(2, round(grid.shape[a] / step))
        change[a, column] = -grid.shape[a] / shape[column]
        change[a, 3] = grid.shape[a] - 0.5 + change[a, column] / 2
    thick = min(3, grid.shape[axis])
    first = min(max(middle[axis] - 1, 0), grid.shape[axis] - thick)
    cut = torch.eye(4, dtype=torch.float64)
    cut[axis, 3] = first
    size = [thick if k == axis else n for k, n in enumerate(grid.shape)]
    return Plane(
        grid=Grid((shape[0], shape[1], 1), grid.affine @ change),
        slab=Grid((size[0], size[1], size[2]), grid.affine @ cut),
        layer=middle[axis] - first,
        axis=axis,
        letters=letters,
    )


def image_slices(volume: Volume, planes: Sequence[Plane], transform: Transform) -> list[Values]:
    """Return a warped volume on the planes, its percentiles 0.5 to 99.5 scaled to 0..1.

    The value outside of the volume is 0.
    """
    data = volume.data.float()  # once, not for each plane
    skip = max(1, round((data.numel() / SAMPLES) ** (1 / 3)))
    samples = data[::skip, ::skip, ::skip].flatten()
    low, high = torch.quantile(samples, torch.tensor([0.005, 0.995])).tolist()
    if not high > low:
        low, high = float(data.min()), float(data.max())
    width = max(high - low, 1e-12)
    cells = [
        warp(data[None], volume.grid, plane.grid, transform, fill=low)[0, :, :, 0]
        for plane in planes
    ]
    return [((cell - low) / width).clamp(0, 1).T.numpy() for cell in cells]


def label_slices(labels: Volume, planes: Sequence[Plane], transform: Transform) -> list[Values]:
    """Return warped labels on the planes, by nearest neighbour."""
    cells = [
        warp(labels.data[None], labels.grid, plane.grid, transform, interpolation="nearest")
        for plane in planes
    ]
    return [cell[0, :, :, 0].T.float().numpy() for cell in cells]
