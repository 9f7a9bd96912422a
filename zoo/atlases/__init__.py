"""Means of maps and of images, and votes of label maps: the mathematics of templates and atlases.

Everything here is pure computation on tensors; the files are read and written by the pipelines.
"""

from zoo.atlases.mean_affine import affine_log, mean_affine
from zoo.atlases.mean_image import MeanImage, sharpen, sharpness
from zoo.atlases.mean_map import MapMean, points_of_body, separate_affine
from zoo.atlases.mid_space import box_of_grid, mid_space_grid, mid_space_maps
from zoo.atlases.voting import LabelVotes, Vote, labels_with_one_voter
from zoo.atlases.weights import local_weights

__all__ = [
    "LabelVotes",
    "MapMean",
    "MeanImage",
    "Vote",
    "affine_log",
    "box_of_grid",
    "labels_with_one_voter",
    "local_weights",
    "mean_affine",
    "mid_space_grid",
    "mid_space_maps",
    "points_of_body",
    "separate_affine",
    "sharpen",
    "sharpness",
]
