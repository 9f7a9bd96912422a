"""How the compact weights are trained, as data: nothing but what is written here decides it."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Stage:
    """So many optimiser steps at a learning rate that falls in a straight line to a tenth.

    `rate` is Adam's, `matrix_rate` that of the convolutions, by Muon. A step sees `batch` subjects
    on a grid of `size`. Of the network the first `parts` train: levels of UniReg, U-Nets of
    GradICON, where one part is a matcher of crops that all four start from. `sigma` is the window
    of GradICON's local correlation, in voxels. A `relative` matcher also learns from subjects seen
    at half their resolution, and from errors as shares of what each crop is off by. `layered` is
    the share of subjects that are built like a brain. For UniReg `tasks` names the regions, and
    `conditioned` says whether the flow heads are written by the conditions.
    """

    steps: int
    size: tuple[int, int, int]
    rate: float
    matrix_rate: float
    parts: int = 4
    batch: int = 1
    sigma: int = 0
    relative: bool = False
    layered: float = 0.0
    tasks: tuple[str, ...] = ()
    conditioned: bool = True


@dataclass(frozen=True)
class Recipe:
    """How one model is trained, from `seed` on.

    It will see pairs on a grid of `size`, for UniReg the body's lattice, foot to head first.
    `contrasts` a subject, of which each image draws its own, but for a share of at least `alike` of
    the crops; with `randomised` so do the images that the loss is taken of. `squared` makes the
    correlation blind to the sign of the contrast. With `recolour` the network sees the moving image
    in the contrast of the fixed one. `after` names the recipe whose network training goes on from:
    what ships is the mean of the weights before and after.
    `truth` weighs the mean error of the displacement, which is known, against the correlation.
    """

    model: str
    seed: int
    size: tuple[int, int, int]
    stages: tuple[Stage, ...]
    contrasts: int = 1
    alike: float = 0.3
    squared: bool = False
    randomised: bool = False
    recolour: bool = False
    after: str = ""
    regularity: float = 1.5
    truth: float = 0.3


def _matcher(
    *steps: int, relative: tuple[int, ...] = (), layered: int = 0, last: int = 0
) -> tuple[Stage, ...]:
    """Return the stages of a matcher of crops: plain, relative, with brains in layers, slow.

    The rate is raised again at each but the last, which takes it down to a hundredth.
    """
    first = Stage(0, (32, 32, 32), 3e-4, 1e-2, parts=1, batch=8)
    brains = replace(first, relative=True, layered=0.4)
    stages = (
        *(replace(first, steps=n) for n in steps),
        *(replace(first, steps=n, relative=True) for n in relative),
        replace(brains, steps=layered),
        replace(brains, steps=last, rate=3e-5, matrix_rate=1e-3),
    )
    return tuple(stage for stage in stages if stage.steps)


def _together(steps: int) -> tuple[Stage, ...]:
    """Return a stage in which the two coarse U-Nets learn together, as published."""
    return (Stage(steps, (64, 64, 64), 1e-4, 3e-3, parts=2, sigma=2),)


_GRID = (128, 128, 128)
_REGIONS = ("cardiac", "liver", "head", "abdomen", "chest", "brain")
_BODY = (40, 48, 48)
_SMALL = (24, 32, 32)


def _unireg(tasks: tuple[str, ...], steps: tuple[int, ...]) -> tuple[Stage, ...]:
    """Return UniReg's stages: one head for all pairs on brains, then heads by condition.

    The finest level, which costs as much as all others, joins at last. Once through, the rate is
    raised again and the same done over, from the third time on with half of the brains in layers.
    """
    brain = ("brain",)
    coarse = Stage(0, _BODY, 3e-4, 2e-3, parts=3, batch=2, tasks=tasks)
    whole = Stage(0, _BODY, 1e-4, 1e-3, parts=4, batch=2, tasks=tasks)
    return (
        Stage(steps[0], _BODY, 3e-4, 2e-3, parts=3, batch=2, tasks=brain, conditioned=False),
        replace(coarse, steps=steps[1]),
        replace(whole, steps=steps[2]),
        replace(coarse, steps=steps[3]),
        replace(whole, steps=steps[4]),
        replace(coarse, steps=steps[5], layered=0.5),
        replace(whole, steps=steps[6], layered=0.5),
        replace(coarse, steps=steps[7], layered=0.5),
        replace(whole, steps=steps[8], layered=0.5),
    )


def _ablation(tasks: tuple[str, ...], steps: int) -> tuple[Stage, ...]:
    """Return one short stage on a small lattice, to hold one task against two."""
    return (Stage(steps, _SMALL, 3e-4, 2e-3, parts=3, batch=2, tasks=tasks),)


RECIPES: dict[str, Recipe] = {
    "unigradicon": Recipe(
        "unigradicon",
        1,
        _GRID,
        _matcher(3500, 2500, relative=(3000, 3000), layered=3000, last=1500),
    ),
    "multigradicon": Recipe(
        "multigradicon",
        2,
        _GRID,
        _matcher(layered=3500, last=1200),
        contrasts=3,
        alike=0.7,
        recolour=True,
        after="unigradicon",
    ),
    "multigradicon-plain": Recipe(
        "multigradicon", 2, _GRID, (*_matcher(3500), *_together(300)), 3, squared=True
    ),
    "multigradicon-randomised": Recipe(
        "multigradicon",
        2,
        _GRID,
        (*_matcher(3500), *_together(300)),
        3,
        squared=True,
        randomised=True,
    ),
    "unireg": Recipe(
        "unireg", 3, _BODY, _unireg(_REGIONS, (300, 2500, 300, 2000, 200, 4000, 500, 2500, 400))
    ),
    "unireg-two": Recipe("unireg", 3, _SMALL, _ablation(("abdomen", "brain"), 3000)),
    "unireg-abdomen": Recipe("unireg", 3, _SMALL, _ablation(("abdomen",), 3000)),
    "unireg-brain": Recipe("unireg", 3, _SMALL, _ablation(("brain",), 3000)),
    "unireg-abdomen-half": Recipe("unireg", 3, _SMALL, _ablation(("abdomen",), 1500)),
    "unireg-brain-half": Recipe("unireg", 3, _SMALL, _ablation(("brain",), 1500)),
}
"""By name. Those with a suffix are ablations: with and without loss randomisation; fewer tasks."""
