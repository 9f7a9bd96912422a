"""Pictures that show two images, or their labels, on the same plane."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zoo.reporting.slices import Values

FIXED_COLOUR = (1.0, 0.66, 0.12)
MOVING_COLOUR = (0.20, 0.72, 1.0)
COMMON_COLOUR = (1.0, 1.0, 1.0)
FIXED_LIGHT = np.array([1.0, 0.55, 0.0], dtype=np.float32)
MOVING_LIGHT = 1 - FIXED_LIGHT

INFERNO = (
    *("000004", "160b39", "420a68", "6a176e", "932667"),
    *("bc3754", "dd513a", "f37819", "fca50a", "f6d746", "fcffa4"),
)
"""Evenly spaced colours of matplotlib's map of this name, from black to pale yellow."""
BLUE_WHITE_RED = (
    *("053061", "2065ab", "4393c3", "90c4dd", "d1e5f0"),
    *("f7f6f6", "fddbc7", "f3a481", "d6604d", "b1182b", "67001f"),
)
"""Evenly spaced colours of matplotlib's map RdBu_r."""


def orange_blue(fixed: Values, moving: Values) -> Values:
    """Return the fixed image in orange plus the moving image in blue: [rows, columns, 3].

    Equal values are grey. These are the colours of the viewer; readers with any colour vision can
    tell them apart.
    """
    return fixed[..., None] * FIXED_LIGHT + moving[..., None] * MOVING_LIGHT


def checkerboard(fixed: Values, moving: Values, squares: int = 7) -> Values:
    """Return alternating squares of both images, about `squares` along the longer side."""
    side = max(1, round(max(fixed.shape) / squares))
    rows, columns = np.indices(fixed.shape) // side
    return np.where((rows + columns) % 2 == 0, fixed, moving)


def difference(fixed: Values, moving: Values) -> Values:
    """Return |fixed - moving| in colours from black to white: [rows, columns, 3]."""
    return coloured(np.abs(fixed - moving), INFERNO)


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


def coloured(values: Values, colours: Sequence[str]) -> Values:
    """Return values in 0..1 as colours between evenly spaced ones: [rows, columns, 3]."""
    table = np.array([list(bytes.fromhex(colour)) for colour in colours]) / 255
    places = np.linspace(0, 1, len(table))
    channels = [np.interp(values, places, channel) for channel in table.T]
    return np.stack(channels, axis=-1).astype(np.float32)
