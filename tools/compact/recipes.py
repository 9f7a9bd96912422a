"""How the compact weights are trained, as data: a recipe and its seed determine the weights."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Stage:
    """A number of optimiser steps at a learning rate that falls linearly to a tenth.

    rate, matrix_rate: learning rates of Adam and, for the convolutions, of Muon.
    batch, size: number of subjects per step and their grid, in voxels.
    parts: how many parts of the network are trained, from the first: levels of UniReg, U-Nets of
        GradICON. One part of GradICON is trained to match crops, and all four start from it.
    sigma: window of the local correlation of GradICON, in voxels.
    relative: whether matching also sees subjects at half resolution, with a loss relative to the
        error of each crop.
    layered_share: share of the subjects (UniReg: of the brains) that have the layers of a brain.
    tasks: the regions of UniReg.
    conditioned: whether the conditions of UniReg set its flow heads.
    """

    steps: int
    size: tuple[int, int, int]
    rate: float
    matrix_rate: float
    parts: int = 4
    batch: int = 1
    sigma: int = 0
    relative: bool = False
    layered_share: float = 0.0
    tasks: tuple[str, ...] = ()
    conditioned: bool = True


@dataclass(frozen=True)
class Mixture:
    """Shares of the training subjects that are rendered from real anatomy; the rest are shapes.

    For UniReg they are the shares of the brains that are heads, and of the heads that are CT.

    heads, ct: persons whose image is deformed, so that the displacement is known.
    two_heads, two_cts: pairs of two persons, of whom only the labels are known.
    """

    heads: float = 0.0
    ct: float = 0.0
    two_heads: float = 0.0
    two_cts: float = 0.0


SHAPES = Mixture()


@dataclass(frozen=True)
class Recipe:
    """The training of one model.

    seed: decides the initial weights and all subjects.
    size: grid of the pairs at inference in voxels; for UniReg the lattice of the body, with the
        axis from foot to head first.
    contrasts: number of contrasts per subject; each image draws one of them.
    same_contrast_share: least share of the crops whose two images have the same contrast.
    squared_correlation: whether the loss ignores the sign of the local correlation.
    randomised_loss: whether the images in the loss draw contrasts of their own.
    recolour: whether the network sees the moving image in the contrast of the fixed image.
    continues: the recipe whose network this training starts from.
    kept_share: share of earlier weights in the published ones: by default of those that this
        training starts from.
    mixture: what the subjects are rendered from.
    regularity_weight: weight of the regularity in the loss, relative to the correlation.
    truth_weight: weight of the mean error of the displacement, whose truth is known.
    """

    model: str
    seed: int
    size: tuple[int, int, int]
    stages: tuple[Stage, ...]
    contrasts: int = 1
    same_contrast_share: float = 0.3
    squared_correlation: bool = False
    randomised_loss: bool = False
    recolour: bool = False
    continues: str = ""
    kept_share: float = 0.0
    mixture: Mixture = SHAPES
    regularity_weight: float = 1.5
    truth_weight: float = 0.3


def _matching(
    *plain: int, relative: tuple[int, ...] = (), layered: int = 0, last: int = 0
) -> tuple[Stage, ...]:
    """Return the stages that match crops: plain, relative, with layered brains, and the last.

    The arguments are numbers of steps. Each stage starts again at the full rate, except the last,
    which ends at a hundredth of it.
    """
    first = Stage(0, (32, 32, 32), 3e-4, 1e-2, parts=1, batch=8)
    brains = replace(first, relative=True, layered_share=0.4)
    stages = (
        *(replace(first, steps=n) for n in plain),
        *(replace(first, steps=n, relative=True) for n in relative),
        replace(brains, steps=layered),
        replace(brains, steps=last, rate=3e-5, matrix_rate=1e-3),
    )
    return tuple(stage for stage in stages if stage.steps)


def _together(steps: int) -> tuple[Stage, ...]:
    """Return a stage that trains the two coarse U-Nets together, as published."""
    return (Stage(steps, (64, 64, 64), 1e-4, 3e-3, parts=2, sigma=2),)


def _mixed(steps: int, last: int) -> tuple[Stage, ...]:
    """Return the stages that go on from published weights: at a fifth of the full rate, then less.

    At half of the full rate, real pairs of one contrast became worse within 400 steps.
    """
    first = Stage(
        steps, (32, 32, 32), 6e-5, 2e-3, parts=1, batch=8, relative=True, layered_share=0.4
    )
    return (first, replace(first, steps=last, rate=1e-5, matrix_rate=3e-4))


_GRID = (128, 128, 128)
_REGIONS = ("cardiac", "liver", "head", "abdomen", "chest", "brain")
_BODY = (40, 48, 48)
_SMALL = (24, 32, 32)


def _unireg(tasks: tuple[str, ...], steps: tuple[int, ...]) -> tuple[Stage, ...]:
    """Return the stages of UniReg: unconditioned heads on brains, then conditioned heads.

    Stages with the three coarse levels and with all four alternate, because the finest level costs
    as much as all others together. The rate is raised again at each stage. From the third round on,
    half of the brains are layered.
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
        replace(coarse, steps=steps[5], layered_share=0.5),
        replace(whole, steps=steps[6], layered_share=0.5),
        replace(coarse, steps=steps[7], layered_share=0.5),
        replace(whole, steps=steps[8], layered_share=0.5),
    )


def _unireg_on(coarse: int, whole: int) -> tuple[Stage, ...]:
    """Return the stages that go on from published weights, at the rates of the last two rounds."""
    first = Stage(coarse, _BODY, 1e-4, 7e-4, parts=3, batch=2, layered_share=0.5, tasks=_REGIONS)
    return (first, replace(first, steps=whole, rate=3e-5, matrix_rate=3e-4, parts=4))


def _ablation(tasks: tuple[str, ...], steps: int) -> tuple[Stage, ...]:
    """Return one short stage on a small lattice, to compare training on one task and on two."""
    return (Stage(steps, _SMALL, 3e-4, 2e-3, parts=3, batch=2, tasks=tasks),)


def _whole(steps: int) -> tuple[Stage, ...]:
    """Return the stage that trains all four U-Nets together on whole persons; it needs a GPU."""
    return (Stage(steps, _GRID, 2e-5, 5e-4, parts=4, sigma=4),)


_ANATOMY = Mixture(heads=0.3, ct=0.2, two_heads=0.17, two_cts=0.08)


def _multigradicon(seed: int, mixture: Mixture, stages: tuple[Stage, ...]) -> Recipe:
    """Return a recipe of multiGradICON that goes on from its published weights."""
    return Recipe(
        "multigradicon",
        seed,
        _GRID,
        stages,
        contrasts=3,
        same_contrast_share=0.55,
        recolour=True,
        continues="multigradicon",
        mixture=mixture,
    )


RECIPES: dict[str, Recipe] = {
    "unigradicon": Recipe(
        "unigradicon",
        1,
        _GRID,
        _matching(3500, 2500, relative=(3000, 3000), layered=3000, last=1500),
    ),
    "multigradicon": Recipe(
        "multigradicon",
        2,
        _GRID,
        _matching(layered=3500, last=1200),
        contrasts=3,
        same_contrast_share=0.7,
        recolour=True,
        continues="unigradicon",
        kept_share=0.5,
    ),
    "multigradicon-plain": Recipe(
        "multigradicon", 2, _GRID, (*_matching(3500), *_together(300)), 3, squared_correlation=True
    ),
    "multigradicon-randomised": Recipe(
        "multigradicon",
        2,
        _GRID,
        (*_matching(3500), *_together(300)),
        3,
        squared_correlation=True,
        randomised_loss=True,
    ),
    "unigradicon-anatomy": Recipe(
        "unigradicon",
        11,
        _GRID,
        _mixed(1200, 600),
        contrasts=2,
        same_contrast_share=1.0,
        continues="unigradicon",
        kept_share=0.5,
        mixture=_ANATOMY,
    ),
    "multigradicon-anatomy": replace(
        _multigradicon(12, _ANATOMY, _mixed(1200, 600)), kept_share=2 / 3
    ),
    "multigradicon-whole": _multigradicon(14, _ANATOMY, _whole(1000)),
    "multigradicon-shapes": _multigradicon(12, SHAPES, _mixed(800, 200)),
    "multigradicon-heads": _multigradicon(12, Mixture(heads=0.5), _mixed(800, 200)),
    "multigradicon-ct": _multigradicon(12, Mixture(heads=0.35, ct=0.25), _mixed(800, 200)),
    "multigradicon-dice": _multigradicon(12, _ANATOMY, _mixed(800, 200)),
    "unireg": Recipe(
        "unireg", 3, _BODY, _unireg(_REGIONS, (300, 2500, 300, 2000, 200, 4000, 500, 2500, 400))
    ),
    "unireg-anatomy": Recipe(
        "unireg",
        13,
        _BODY,
        (*_unireg_on(1500, 300), *_unireg_on(2500, 400)),
        continues="unireg",
        mixture=Mixture(heads=0.7, ct=0.7),
    ),
    "unireg-two": Recipe("unireg", 3, _SMALL, _ablation(("abdomen", "brain"), 3000)),
    "unireg-abdomen": Recipe("unireg", 3, _SMALL, _ablation(("abdomen",), 3000)),
    "unireg-brain": Recipe("unireg", 3, _SMALL, _ablation(("brain",), 3000)),
    "unireg-abdomen-half": Recipe("unireg", 3, _SMALL, _ablation(("abdomen",), 1500)),
    "unireg-brain-half": Recipe("unireg", 3, _SMALL, _ablation(("brain",), 1500)),
}
"""Recipes by name. Those with a suffix go on with real anatomy, or are ablations: of the randomised
loss, of the tasks, and of the parts of the mixture."""
