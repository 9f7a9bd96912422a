"""Uncertainty of a registration: its spread under small known perturbations of the pair."""

from zoo.registration.uncertainty.perturbation import (
    Perturbation,
    draw_perturbation,
    perturb,
    undo,
)
from zoo.registration.uncertainty.spread import (
    Spread,
    estimate_uncertainty,
    require_perturbations,
    with_uncertainty,
)

__all__ = [
    "Perturbation",
    "Spread",
    "draw_perturbation",
    "estimate_uncertainty",
    "perturb",
    "require_perturbations",
    "undo",
    "with_uncertainty",
]
