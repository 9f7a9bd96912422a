"""Fluid refinement: a displacement is composed with small smooth steps towards better agreement.

The similarity is the correlation in small windows. Each step is a Gauss-Newton step: the smoothed
force is divided by the smoothed curvature, so that a region without structure moves with its
surroundings and lengths are in voxels without a step size to choose. Following Vercauteren et al.,
"Diffeomorphic demons" (2009), steps are composed, not added, which keeps the correction one to one.

The correction starts from the identity and is composed with the given displacement at the end:
where the images say nothing, the given displacement stays as it is.

Two contrasts are compared by showing one of the images in the contrast of the other one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import get_args

import torch
from torch import Tensor

from zoo.geometry.displacement_maps import resize_displacement
from zoo.solvers.fluid.contrast import Agreement, measure_agreement
from zoo.solvers.fluid.contrast_transfer import Shown, transferred
from zoo.solvers.fluid.pyramid import at_stride, binary_mask, eroded
from zoo.solvers.fluid.steps import (
    FAINT_VARIANCE,
    GAIN,
    LEAST_VARIANCE,
    RADIUS,
    LevelImages,
    Steps,
    StepSettings,
    steps_for,
)
from zoo.solvers.fluid.unfolding import unfold


@dataclass(frozen=True)
class Schedule:
    """The most steps at each stride, coarse to fine, and the radius of the windows in voxels."""

    steps: Mapping[int, int]
    radius: int


USUAL = Schedule({2: 12, 1: 10}, radius=RADIUS)
THOROUGH = Schedule({4: 20, 2: 20, 1: 20}, radius=3)

MATCHED = {2: (0.88, 0.95), 1: (0.8, 0.88)}
"""By stride, the mean correlations from which images count as better matched, and as well matched.

After the search, the mean of brains of two persons is about .83 at half and .75 at full resolution,
that of CT of one person .97 and .87.
"""
SAME_TEXTURE = {2: 0.9, 1: 0.65}
"""By stride, the mean correlation of faint windows from which they count in the refinement.

It is above .93 and .7 for CT of one person with a known deformation, below .8 and .6 for CT of two
persons, where faint windows show noise.
"""
SMOOTHEST = 3.0
"""Sigma in voxels of the Gaussian that smooths the steps between well matched images."""
LONGEST_STEP = 0.5
"""Length in voxels that a step approaches but does not reach."""

FEWEST_VOXELS = 64
"""Voxels along the shortest axis below which images are not refined.

The search is precise to a fraction of a voxel there, and the refinement makes phantoms worse.
"""
FEWEST_VOXELS_TO_HALVE = 96
"""Voxels along the shortest axis below which the agreement is measured at full resolution.

At half the resolution of a small image, a window contains several tissues and the background.
"""

_CONVERGED = 5e-4  # gain of the mean correlation over three steps

Choose = Callable[[Mapping[str, Tensor]], str]
"""Returns the name of the preferred displacement [1, 3, X, Y, Z]: "unrefined" or "refined"."""


@dataclass(frozen=True)
class FluidRefinement:
    """The refined displacement [1, 3, X, Y, Z] in voxels, and what the stage measured.

    `agreement` is that of the images before the refinement, None for small images, and `refined`
    whether the displacement was refined. `shown` names the image of two contrasts that was shown
    in the contrast of the other one, and `thorough` says whether the thorough schedule was used.
    `correlation` is the mean local correlation at full resolution before the first and before the
    last step, None without a refinement.
    """

    displacement: Tensor
    agreement: Agreement | None
    refined: bool
    correlation: tuple[float, float] | None = None
    shown: Shown | None = None
    thorough: bool = False


@dataclass(frozen=True)
class Smoothness:
    """Sigmas in voxels of the Gaussians that smooth the steps and the correction."""

    step: float
    correction: float


@torch.no_grad()
def refine_by_composition(
    displacement: Tensor,
    moving: Tensor,
    fixed: Tensor,
    *,
    moving_mask: Tensor | None = None,
    fixed_mask: Tensor | None = None,
    gain: float = GAIN,
    thorough: bool = False,
    choose: Choose | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> FluidRefinement:
    """Refine `displacement` [1, 3, X, Y, Z] in voxels, pull-back, component k along array axis k.

    `moving` and `fixed` are [1, 1, X, Y, Z] on the same grid, scaled to [0, 1]. The masks, of the
    same shape, are 1 where a voxel counts and 0 where there are no data; points outside the moving
    grid never count. `gain` multiplies every Gauss-Newton step. With `thorough`, images of one
    contrast get more steps, one more level and larger windows. Small images are left as they are.

    Images of two contrasts are refined only with `choose`: with the moving image in the contrast of
    the fixed one or the fixed image in that of the moving one, whichever agrees better, if they
    then agree as images of one contrast, but not too well to gain. The result is kept if `choose`
    prefers it.
    """
    masks = eroded(binary_mask(moving_mask, fixed)), binary_mask(fixed_mask, fixed)
    images = LevelImages(moving, fixed, *masks)
    if min(fixed.shape[2:]) < FEWEST_VOXELS:
        return FluidRefinement(displacement, None, refined=False)
    field = displacement.float()
    levels = Levels.measured(images, field, gain)
    if not levels.agreement.one_contrast:
        if choose is None:
            return FluidRefinement(displacement, levels.agreement, refined=False)
        found = _refine_two_contrasts(field, images, gain, choose, progress)
        return replace(found, agreement=levels.agreement)
    schedule = THOROUGH if thorough else USUAL
    field, correlation = levels.refined(field, schedule, progress)
    return FluidRefinement(field, levels.agreement, True, correlation, thorough=thorough)


def _refine_two_contrasts(
    displacement: Tensor,
    images: LevelImages,
    gain: float,
    choose: Choose,
    progress: Callable[[float, str], None] | None,
) -> FluidRefinement:
    """Refine the displacement of two contrasts, and keep the result if `choose` prefers it.

    An edge of a transferred image may be about a voxel away from its place, so that images which
    are well matched already, as those of one person may be, are left as they are.
    """
    unrefined = FluidRefinement(displacement, None, refined=False)
    names: tuple[Shown, ...] = get_args(Shown)
    levels = {
        name: Levels.measured(transferred(images, displacement, name), displacement, gain)
        for name in names
    }
    levels = {name: of for name, of in levels.items() if of.agreement.one_contrast}
    if not levels or any(of.matched > 0 for of in levels.values()):
        return unrefined
    shown = max(levels, key=lambda name: levels[name].agreement.mean)
    field, correlation = levels[shown].refined(displacement, USUAL, progress)
    if choose({"unrefined": displacement, "refined": unfold(field)[0]}) == "unrefined":
        return replace(unrefined, shown=shown)
    return FluidRefinement(field, None, True, correlation, shown)


@dataclass(frozen=True)
class Levels:
    """The levels of one refinement: images, and how the steps follow from their agreement."""

    images: LevelImages
    agreement: Agreement
    matched: float
    least_variance: float
    gain: float

    @classmethod
    def measured(cls, images: LevelImages, displacement: Tensor, gain: float) -> Levels:
        """Return the levels for images that `displacement` aligns; their agreement is measured."""
        full = images.fixed.shape[2:]
        stride = 1 if min(full) < FEWEST_VOXELS_TO_HALVE else 2
        level = at_stride(images, stride)
        start = resize_displacement(displacement, level.fixed.shape[2:])
        agreement = measure_agreement(level, start)
        same_texture = agreement.faint >= SAME_TEXTURE[stride]
        least_variance = LEAST_VARIANCE if same_texture else FAINT_VARIANCE
        matched = well_matched(agreement.mean, stride)
        return cls(images, agreement, matched, least_variance, gain)

    def refined(
        self,
        displacement: Tensor,
        schedule: Schedule,
        progress: Callable[[float, str], None] | None,
    ) -> tuple[Tensor, tuple[float, float]]:
        """Return the refined displacement.

        Also return the mean correlation at the last stride before the first and the last step.
        """
        work = {stride: steps / stride**3 for stride, steps in schedule.steps.items()}
        done, total = 0.0, sum(work.values())
        field, correlation = displacement, (0.0, 0.0)
        for stride in schedule.steps:

            def report(part: float, before: float = done, here: float = work[stride]) -> None:
                if progress is not None:
                    progress((before + part * here) / total, "fluid refinement")

            field, correlation = self._refined_at(stride, field, schedule, report)
            done += work[stride]
        return field, correlation

    def _refined_at(
        self,
        stride: int,
        displacement: Tensor,
        schedule: Schedule,
        report: Callable[[float], None],
    ) -> tuple[Tensor, tuple[float, float]]:
        """Return the displacement refined at 1 / `stride` of the resolution, and correlations."""
        level = at_stride(self.images, stride)
        start = resize_displacement(displacement, level.fixed.shape[2:]).contiguous()
        settings = StepSettings(schedule.radius, self.least_variance, self.gain)
        steps, smoothness = steps_for(level, settings), smoothness_for(self.matched, stride)
        correction, correlation = _refine(steps, start, schedule.steps[stride], smoothness, report)
        full = self.images.fixed.shape[2:]
        return resize_displacement(steps.compose(start, correction), full), correlation


def well_matched(correlation: float, stride: int) -> float:
    """Return how well images agree, from 0 to 1, by their mean correlation at 1 / `stride`."""
    low, high = MATCHED[stride]
    return min(1.0, max(0.0, (correlation - low) / (high - low)))


def smoothness_for(matched: float, stride: int) -> Smoothness:
    """Return how smooth steps and correction are at a level, by `well_matched`.

    Images of two persons still differ after the search, and their anatomy differs at fine scales.
    Where images agree almost perfectly, as those of one person do, what is left is a smooth
    misalignment and noise.
    """
    finest, least = (1.5, 0.4) if stride > 1 else (1.3, 0.0)
    return Smoothness(
        finest + (SMOOTHEST - finest) * matched, max(least, 0.4 if matched > 0.5 else 0.0)
    )


def _refine(
    steps: Steps,
    start: Tensor,
    iterations: int,
    smoothness: Smoothness,
    report: Callable[[float], None],
) -> tuple[Tensor, tuple[float, float]]:
    """Return the correction of `start`, and the mean correlation before the first and last step."""
    correction = torch.zeros_like(start)
    trace: list[float] = []
    for done in range(iterations):
        field = steps.compose(start, correction) if done else start
        step, correlation = steps.update(field, smoothness.step, LONGEST_STEP)
        correction = steps.smooth(steps.compose(correction, step), smoothness.correction)
        trace.append(correlation)
        report((done + 1) / iterations)
        if len(trace) > 3 and correlation - trace[-4] < _CONVERGED:
            break
    return correction, (trace[0], trace[-1])
