"""Grids, transforms and sampling in world coordinates (RAS+ mm). Pure torch."""

from zoo.geometry.chain import Composed, Link, compose, map_along, map_back_along
from zoo.geometry.displacement_maps import (
    Composition,
    DisplacementMap,
    PointMap,
    displacement_in_voxels,
    resize_displacement,
)
from zoo.geometry.grid import Grid
from zoo.geometry.inversion import Inverse, invert, map_points_back
from zoo.geometry.jacobian import folding_percent, jacobian_determinant, sd_log_jacobian
from zoo.geometry.orientation import match_axes
from zoo.geometry.sampling import (
    identity_index,
    sample,
    sample_cubic,
    sample_nearest,
    spline_coefficients,
)
from zoo.geometry.transform import Transform
from zoo.geometry.warping import warp

__all__ = [
    "Composed",
    "Composition",
    "DisplacementMap",
    "Grid",
    "Inverse",
    "Link",
    "PointMap",
    "Transform",
    "compose",
    "displacement_in_voxels",
    "folding_percent",
    "identity_index",
    "invert",
    "jacobian_determinant",
    "map_along",
    "map_back_along",
    "map_points_back",
    "match_axes",
    "resize_displacement",
    "sample",
    "sample_cubic",
    "sample_nearest",
    "sd_log_jacobian",
    "spline_coefficients",
    "warp",
]
