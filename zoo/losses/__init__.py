"""Differentiable losses: image similarity, regularity of maps, overlap of labels, CT mass."""

from zoo.losses.mind import mind_descriptor
from zoo.losses.overlap import (
    cell_volume,
    conserve_mass,
    folded_share,
    shared_one_hot,
    soft_dice,
    trim,
)
from zoo.losses.regularity import consistency_points, field_map, gradicon, gradient_penalty
from zoo.losses.similarity import (
    LNCC,
    MINDSSC,
    NCC,
    BoxLNCC,
    Similarity,
    SquaredLNCC,
    masked_mean,
    similarity_named,
)

__all__ = [
    "LNCC",
    "MINDSSC",
    "NCC",
    "BoxLNCC",
    "Similarity",
    "SquaredLNCC",
    "cell_volume",
    "conserve_mass",
    "consistency_points",
    "field_map",
    "folded_share",
    "gradicon",
    "gradient_penalty",
    "masked_mean",
    "mind_descriptor",
    "shared_one_hot",
    "similarity_named",
    "soft_dice",
    "trim",
]
