"""The voxel size at which an image with thick slices is worked on."""

from __future__ import annotations

from math import prod

from zoo.geometry.grid import Grid

MOST_REFINED = 2.5
"""Voxels of an isotropic grid, relative to those of the image, beyond which accuracy hardly gains.

docs/experiments/working-grid.md has the measurements.
"""


def isotropic_spacing(grid: Grid) -> float:
    """Return the finest spacing of a grid in mm, or a larger one for `MOST_REFINED` times it."""
    return max(min(grid.spacing), float((prod(grid.spacing) / MOST_REFINED) ** (1 / 3)))
