"""Grids and transforms in the world, RAS+ mm. Pure torch."""

from zoo.geometry.grid import Grid
from zoo.geometry.inversion import Inverse, invert, map_points_back
from zoo.geometry.jacobian import folding_percent, jacobian_determinant, sd_log_jacobian
from zoo.geometry.orientation import match_axes
from zoo.geometry.transform import Transform
from zoo.geometry.warping import warp

__all__ = [
    "Grid",
    "Inverse",
    "Transform",
    "folding_percent",
    "invert",
    "jacobian_determinant",
    "map_points_back",
    "match_axes",
    "sd_log_jacobian",
    "warp",
]
