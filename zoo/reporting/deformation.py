"""Pictures of a transform: the deformed grid and the volume change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from zoo.geometry import Grid, Transform, jacobian_determinant, warp
from zoo.reporting.overlays import BLUE_WHITE_RED, coloured
from zoo.reporting.slices import Plane, Values

FOLD_COLOUR = (1.0, 0.90, 0.0)
MOST_LINES = 30  # along the longest side of a plane
LINE_WIDTH = 0.9  # pixels
LINE_BRIGHTNESS = 0.95


def line_distance(planes: Sequence[Plane]) -> int:
    """Return the distance of grid lines in mm that leaves the planes readable."""
    longest = max(
        n * s for p in planes for n, s in zip(p.grid.shape[:2], p.grid.spacing, strict=False)
    )
    return next((mm for mm in (1, 2, 5, 10, 20, 50) if longest / mm < MOST_LINES), 100)


def grid_lines(
    transform: Transform, plane: Plane, distance_mm: float, background: Values
) -> Values:
    """Draw straight lines of the moving image onto the picture of a fixed plane.

    The lines are parallel to the axes of the plane and `distance_mm` apart in the moving image;
    they are drawn where the transform maps to. `background` is [rows, columns].
    """
    # A moving grid of 1 mm along the axes of the plane: its indices are the lines' coordinates.
    unit = plane.slab.affine.clone()
    unit[:3, :3] /= torch.tensor(plane.slab.spacing).double()
    mapped = transform.moving_index(plane.grid, Grid((1, 1, 1), unit))[0, :, :, :, 0].cpu()
    out = background
    for axis in range(3):
        if axis == plane.axis:
            continue
        position = mapped[axis].T.double().numpy() / distance_mm  # a line at every whole number
        per_pixel = np.hypot(*np.gradient(position)).clip(1e-6)
        pixels = np.abs(position - np.round(position)) / per_pixel  # distance from the next line
        share = (LINE_WIDTH / 2 + 0.5 - pixels).clip(0, 1)  # of the pixel that the line covers
        out = out + share * (LINE_BRIGHTNESS - out)
    return out.astype(np.float32)


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
    out = coloured(np.log2(np.clip(values, 0.5, 2)) / 2 + 0.5, BLUE_WHITE_RED)
    out[values <= 0] = FOLD_COLOUR
    return out
