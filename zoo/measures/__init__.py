"""Measurements on images and label maps that several packages share."""

from zoo.measures.body import Body, find_body, find_cut_data, pool, smooth, spacing_for_voxels
from zoo.measures.mutual_information import normalised_mutual_information
from zoo.measures.overlap import dice, dice_per_label, shared_labels
from zoo.measures.padding import find_data
from zoo.measures.resolution import isotropic_spacing
from zoo.measures.robust import robust_values

__all__ = [
    "Body",
    "dice",
    "dice_per_label",
    "find_body",
    "find_cut_data",
    "find_data",
    "isotropic_spacing",
    "normalised_mutual_information",
    "pool",
    "robust_values",
    "shared_labels",
    "smooth",
    "spacing_for_voxels",
]
