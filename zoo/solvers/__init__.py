"""Optimisation per pair: affine alignment, the MCBO solver, instance optimisation."""

from zoo.solvers.affine import AffineAlignment, align_affine, measure_given_affine
from zoo.solvers.instance import ImagePair, Misfit, Refined
from zoo.solvers.instance_field import refine_field
from zoo.solvers.instance_weights import refine_weights
from zoo.solvers.mcbo import MCBO
from zoo.solvers.mind import mind_features
from zoo.solvers.settings import PRESETS, Mode, Settings, with_changes

__all__ = [
    "MCBO",
    "PRESETS",
    "AffineAlignment",
    "ImagePair",
    "Misfit",
    "Mode",
    "Refined",
    "Settings",
    "align_affine",
    "measure_given_affine",
    "mind_features",
    "refine_field",
    "refine_weights",
    "with_changes",
]
