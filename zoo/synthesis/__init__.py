"""Synthetic data: phantoms, and subjects and pairs for training, with known deformations."""

from zoo.synthesis.anatomies import Anatomy
from zoo.synthesis.phantom import PhantomPair, make_pair, placed_grid, true_transform
from zoo.synthesis.regions import REGIONS
from zoo.synthesis.rendered_pairs import PersonPair, draw_deformed_person, draw_two_persons
from zoo.synthesis.smooth_map import SmoothMap
from zoo.synthesis.subjects import SyntheticPair, draw_pair

__all__ = [
    "REGIONS",
    "Anatomy",
    "PersonPair",
    "PhantomPair",
    "SmoothMap",
    "SyntheticPair",
    "draw_deformed_person",
    "draw_pair",
    "draw_two_persons",
    "make_pair",
    "placed_grid",
    "true_transform",
]
