"""Three planes through the fixed image's body.

A plane is a `Grid` one voxel thick, so that images, labels and the map itself are looked at by the
same warping that writes the results: right for any orientation, spacing and tilt.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.geometry import Grid, match_axes
from zoo.io.volume import Volume
from zoo.measures.body import find_body

WIDTH = 900  # of a strip of three planes, pixels
GAP = 6  # between its planes
ROOM = 0.75  # largest height of a strip, as a share of its width


@dataclass(frozen=True)
class Plane:
    """A slice, seen as radiologists do: the patient's right is on the left, the head or face up.

    `grid` has the shape (columns, rows, 1), columns to the right and rows down; `layer` is the same
    slice of the fixed image in its own voxels, `slab` that slice with its neighbours. `letters`
    stand at the left, the right, the top and the bottom.
    """

    grid: Grid
    slab: Grid
    layer: int
    axis: int
    letters: str


def choose_planes(fixed: Volume, width: int = WIDTH) -> list[Plane]:
    """Return the axial, coronal and sagittal plane through the centre of the image's body."""
    _, grid = match_axes(fixed.data, fixed.grid, Grid.from_spacing((1, 1, 1)))
    centre = body_centre(fixed)
    middle = grid.to_index(centre[None])[0].round().long().tolist()
    middle = [min(max(m, 0), n - 1) for m, n in zip(middle, grid.shape, strict=True)]
    x, y, z = (n * s for n, s in zip(grid.shape, grid.spacing, strict=True))
    pixel = max((2 * x + y) / (width - 2 * GAP), max(y, z) / (ROOM * width))
    views = ((0, 1, "RLAP"), (0, 2, "RLSI"), (1, 2, "APSI"))
    return [_plane(grid, middle, across, down, pixel, words) for across, down, words in views]


def body_centre(fixed: Volume) -> Tensor:
    """Return the centre of the body in an image, (3,) RAS+ mm."""
    data = fixed.data.float()
    if float(data.min()) == float(data.max()):
        return fixed.grid.centre
    side = max(n * s for n, s in zip(fixed.grid.shape, fixed.grid.spacing, strict=True))
    return find_body(data, fixed.grid, side / 80, "fixed").centre


def _plane(
    grid: Grid, middle: list[int], across: int, down: int, pixel: float, letters: str
) -> Plane:
    """Return the plane of two axes of a grid that points to R, A and S; both are run backwards."""
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
