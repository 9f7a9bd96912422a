"""Uncertainty of a registration: its spread under small known perturbations of the pair."""

from zoo.registration.uncertainty.perturbation import (
    Perturbation,
    draw_perturbation,
    perturb,
    undo,
)
from zoo.registration.uncertainty.spread import (
    FEWEST,
    Spread,
    estimate_uncertainty,
    with_uncertainty,
)

__all__ = [
    "FEWEST",
    "Perturbation",
    "Spread",
    "draw_perturbation",
    "estimate_uncertainty",
    "perturb",
    "undo",
    "with_uncertainty",
]
