"""Initial affine alignment: a map that roughly aligns a moving image with a fixed one."""

from zoo.solvers.affine.alignment import AffineAlignment, align_affine, measure_given_affine

__all__ = ["AffineAlignment", "align_affine", "measure_given_affine"]
