"""Losses: how alike two images are, how regular a map is, how well labels and mass carry over."""

from zoo.losses.mind import mind_ssc
from zoo.losses.overlap import Dice, conserve_mass, folded_share, shared_one_hot, soft_dice, trim
from zoo.losses.regularity import (
    GradICONLoss,
    GradientPenalty,
    consistency_points,
    field_map,
    gradicon,
    gradient_penalty,
)
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
    "Dice",
    "GradICONLoss",
    "GradientPenalty",
    "Similarity",
    "SquaredLNCC",
    "conserve_mass",
    "consistency_points",
    "field_map",
    "folded_share",
    "gradicon",
    "gradient_penalty",
    "masked_mean",
    "mind_ssc",
    "shared_one_hot",
    "similarity_named",
    "soft_dice",
    "trim",
]
