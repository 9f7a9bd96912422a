"""Fluid refinement of a displacement: composed, smoothed steps that raise the local correlation."""

from zoo.solvers.fluid.refinement import FluidRefinement, refine_by_composition
from zoo.solvers.fluid.steps import GAIN, GENTLE_GAIN
from zoo.solvers.fluid.unfolding import unfold

__all__ = ["GAIN", "GENTLE_GAIN", "FluidRefinement", "refine_by_composition", "unfold"]
