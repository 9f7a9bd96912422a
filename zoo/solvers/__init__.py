"""What optimises one pair: affine start, MIND features, the discrete solvers, their refinement."""

from zoo.solvers.affine import AffineAlignment, align_affine
from zoo.solvers.mcbo import MCBO

__all__ = [
    "MCBO",
    "AffineAlignment",
    "align_affine",
]
