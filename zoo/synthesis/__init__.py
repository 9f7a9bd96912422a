"""Synthetic data: phantoms and synthetic subjects with known deformations."""

from zoo.synthesis.phantom import PhantomPair, make_pair, placed_grid, true_transform
from zoo.synthesis.regions import REGIONS
from zoo.synthesis.smooth_map import SmoothMap
from zoo.synthesis.subjects import SyntheticPair, draw_pair

__all__ = [
    "REGIONS",
    "PhantomPair",
    "SmoothMap",
    "SyntheticPair",
    "draw_pair",
    "make_pair",
    "placed_grid",
    "true_transform",
]
