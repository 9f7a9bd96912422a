"""Pictures that show two images, or their labels, on the same plane."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from zoo.reporting.slices import Values

FIXED_COLOUR = (1.0, 0.66, 0.12)
MOVING_COLOUR = (0.20, 0.72, 1.0)
COMMON_COLOUR = (1.0, 1.0, 1.0)


def red_green(fixed: Values, moving: Values) -> Values:
    """Return the fixed image in red and the moving image in green: [rows, columns, 3]."""
    return np.stack([fixed, moving, np.zeros_like(fixed)], axis=-1)


def checkerboard(fixed: Values, moving: Values, squares: int = 7) -> Values:
    """Return alternating squares of both images, about `squares` along the longer side."""
    side = max(1, round(max(fixed.shape) / squares))
    rows, columns = np.indices(fixed.shape) // side
    return np.where((rows + columns) % 2 == 0, fixed, moving)


def difference(fixed: Values, moving: Values) -> Values:
    """Return |fixed - moving| in colours from black to white: [rows, columns, 3]."""
    return coloured(np.abs(fixed - moving), "inferno")


def outlined(image: Values, fixed: Values, moving: Values) -> Values:
    """Return an image with the outlines of two label maps: [rows, columns, 3]."""
    out = np.repeat(image[..., None] * 0.8, 3, axis=-1)
    fixed_edges, moving_edges = edges(fixed), edges(moving)
    out[fixed_edges], out[moving_edges] = FIXED_COLOUR, MOVING_COLOUR
    out[fixed_edges & moving_edges] = COMMON_COLOUR
    return out


def edges(labels: Values) -> NDArray[np.bool_]:
    """Return the pixels [rows, columns] that differ from one of their four neighbours."""
    out = np.zeros(labels.shape, dtype=bool)
    aside, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    out[:, :-1] |= aside
    out[:, 1:] |= aside
    out[:-1] |= down
    out[1:] |= down
    return out


def coloured(values: Values, colour_map: str) -> Values:
    """Return values in 0..1 as colours of a matplotlib colour map: [rows, columns, 3]."""
    return np.asarray(colormaps[colour_map](values)[..., :3], dtype=np.float32)
