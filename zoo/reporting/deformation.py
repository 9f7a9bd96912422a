"""Pictures of a transform: the deformed grid and the volume change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes

from zoo.geometry import Grid, Transform, jacobian_determinant, warp
from zoo.reporting.canvas import Draw
from zoo.reporting.overlays import coloured
from zoo.reporting.slices import Plane, Values

FOLD_COLOUR = (1.0, 0.90, 0.0)
MOST_LINES = 30  # along the longest side of a plane


def line_distance(planes: Sequence[Plane]) -> int:
    """Return the distance of grid lines in mm that leaves the planes readable."""
    longest = max(
        n * s for p in planes for n, s in zip(p.grid.shape[:2], p.grid.spacing, strict=False)
    )
    return next((mm for mm in (1, 2, 5, 10, 20, 50) if longest / mm < MOST_LINES), 100)


def grid_lines(transform: Transform, distance_mm: float) -> Draw:
    """Return a function that draws straight lines of the moving image onto a fixed plane.

    The lines are parallel to the axes of the plane and `distance_mm` apart in the moving image;
    they are drawn where the transform maps to.
    """

    def draw(axes: Axes, plane: Plane) -> None:
        # A moving grid of 1 mm along the axes of the plane: its indices are the lines' coordinates.
        unit = plane.slab.affine.clone()
        unit[:3, :3] /= torch.tensor(plane.slab.spacing).double()
        mapped = transform.moving_index(plane.grid, Grid((1, 1, 1), unit))[0, :, :, :, 0].cpu()
        for axis in range(3):
            if axis == plane.axis:
                continue
            values = mapped[axis].T.numpy()
            first, last = np.ceil(values.min() / distance_mm), values.max() / distance_mm
            levels = np.arange(first, last) * distance_mm
            if 0 < len(levels) < 200:
                axes.contour(values, levels=levels, colors="#f2f2f2", linewidths=0.6)

    return draw


def volume_change(transform: Transform, plane: Plane) -> Values:
    """Return the Jacobian determinant on a plane in colours, with folded voxels marked."""
    determinant = jacobian_determinant(transform, plane.slab).cpu()
    change = torch.eye(4, dtype=torch.float64)
    change[plane.axis, 3] = plane.layer
    layer = determinant.narrow(plane.axis, plane.layer, 1)
    layer_grid = Grid((layer.shape[0], layer.shape[1], layer.shape[2]), plane.slab.affine @ change)
    on_plane = warp(
        layer[None], layer_grid, plane.grid, Transform.identity(), interpolation="nearest"
    )
    values = on_plane[0, :, :, 0].T.numpy()
    out = coloured(np.log2(np.clip(values, 0.5, 2)) / 2 + 0.5, "RdBu_r")
    out[values <= 0] = FOLD_COLOUR
    return out
