"""Instance optimisation: refinement of a predicted registration on the pair itself.

This module has what both methods share: the objective of a pair, the optimiser, the trace of the
optimisation, the stopping rule and the result. `instance_weights` optimises the weights of the
network, as published. `instance_field` optimises the displacement itself, which is much cheaper and
works for the prediction of any model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from zoo.errors import UserError
from zoo.geometry.sampling import Outside, identity_index, sample
from zoo.losses import Similarity, conserve_mass, shared_one_hot, soft_dice, trim
from zoo.solvers.adam import adam_step

ProgressCallback = Callable[[float, str], None]


@dataclass(frozen=True)
class ImagePair:
    """Two images on one grid, with optional masks and label maps.

    The images are [1, 1, X, Y, Z] in [0, 1]. Masks and label maps are [1, 1, X, Y, Z], each in the
    space of its own image. The similarity counts where the mask of the target image is not zero.
    """

    moving: Tensor
    fixed: Tensor
    moving_mask: Tensor | None = None
    fixed_mask: Tensor | None = None
    moving_labels: Tensor | None = None
    fixed_labels: Tensor | None = None

    def __post_init__(self) -> None:
        shape = self.fixed.shape
        if len(shape) != 5 or tuple(shape[:2]) != (1, 1):
            raise UserError(
                f"an image to refine must have the shape [1, 1, X, Y, Z], not {list(shape)}"
            )
        for name in ("moving", "moving_mask", "fixed_mask", "moving_labels", "fixed_labels"):
            other = getattr(self, name)
            if other is not None and other.shape != shape:
                raise UserError(
                    f"the {name.replace('_', ' ')} has the shape {list(other.shape)}, but the "
                    f"fixed image has {list(shape)}; resample both to one grid first"
                )


@dataclass(frozen=True)
class Step:
    """The loss and its terms before one step of the optimiser; `folding` is a fraction."""

    loss: float
    similarity: float
    regularity: float
    folding: float

    def __str__(self) -> str:
        return f"loss {self.loss:.4f}, folding {100 * self.folding:.3f} %"


@dataclass(frozen=True)
class Refined:
    """The refined fields [1, 3, X, Y, Z] in voxels, and the trace of the optimisation.

    `displacement` is on the grid of the fixed image and `reverse` on that of the moving image.
    """

    displacement: Tensor
    reverse: Tensor | None
    trace: list[Step] = field(default_factory=list)


class Misfit:
    """The data term of a pair: its similarity loss, plus a Dice loss of labels if it has a weight.

    Both directions (moving onto fixed, fixed onto moving) form a batch of two and their losses are
    summed; without `both` only the first direction counts. With `mass` a warped CT is multiplied by
    the change of volume. Without a mask the whole image counts. `outside` says how an image is
    sampled outside its grid.
    """

    def __init__(
        self,
        pair: ImagePair,
        similarity: Similarity,
        *,
        both: bool = True,
        dice_weight: float = 0.0,
        mass: bool = False,
        outside: Outside = "zeros",
    ) -> None:
        self.directions = 2 if both else 1
        self.similarity = similarity
        self.dice_weight = dice_weight
        self.mass = mass
        self.outside: Outside = outside
        self.index = identity_index(pair.fixed.shape[2:], device=pair.fixed.device)
        self.sources = self._batch(pair.moving, pair.fixed)
        targets = self._batch(pair.fixed, pair.moving)
        self.mask: Tensor | None = None
        if pair.fixed_mask is not None or pair.moving_mask is not None:
            everywhere = torch.ones_like(pair.fixed)
            masks = [everywhere if m is None else m for m in (pair.fixed_mask, pair.moving_mask)]
            self.mask = self._batch(*masks)
        if mass:
            targets = trim(targets)
            self.mask = None if self.mask is None else trim(self.mask)
        if dice_weight:
            if pair.moving_labels is None or pair.fixed_labels is None:
                raise UserError(
                    "a Dice weight needs the label maps of both images; give both, or the weight 0"
                )
            moving, fixed = shared_one_hot(pair.moving_labels, pair.fixed_labels)
            self.source_labels = self._batch(moving, fixed)
            self.target_labels = self._batch(fixed, moving)
        with torch.no_grad():
            self.prepared = similarity.prepare(targets)

    def __call__(self, displacement: Tensor) -> Tensor:
        """Return the data term, a scalar, for fields [directions, 3, X, Y, Z] in voxels."""
        index = self.index + displacement
        warped = sample(self.sources, index, outside=self.outside)
        if self.mass:
            warped = conserve_mass(warped, displacement)
        loss = self.similarity.compare(warped, self.prepared, self.mask)
        if self.dice_weight:
            labels = sample(self.source_labels, index)
            loss = loss + self.dice_weight * soft_dice(labels, self.target_labels)
        return self.directions * loss

    def _batch(self, first: Tensor, second: Tensor) -> Tensor:
        return torch.cat([first, second][: self.directions])


class Adam:
    """The optimiser Adam, with the results of `torch.optim.Adam` bit for bit.

    torch's optimiser imports torch's compiler when it is created, which takes a second and 77 MiB.
    """

    def __init__(self, weights: Iterable[Tensor], rate: float) -> None:
        self.weights = list(weights)
        self.rate = rate
        self.count = 0
        self.means = [torch.zeros_like(weight) for weight in self.weights]
        self.squares = [torch.zeros_like(weight) for weight in self.weights]

    def zero_grad(self) -> None:
        """Delete the gradients."""
        for weight in self.weights:
            weight.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change the weights by their gradients; weights without a gradient stay as they are."""
        self.count += 1
        for weight, mean, square in zip(self.weights, self.means, self.squares, strict=True):
            if weight.grad is not None:
                adam_step(weight, weight.grad, mean, square, self.count, self.rate)


def fixed_generator() -> torch.Generator:
    """Return a new random number generator (CPU) with a fixed seed.

    A refinement with it is reproducible, and neither reads nor changes the global random state.
    """
    return torch.Generator().manual_seed(0)


def require_finite(step: Step, number: int) -> Step:
    """Return step `number` of the refinement, or raise an error if its loss is not finite."""
    if not math.isfinite(step.loss):
        raise UserError(
            f"the loss is {step.loss} at step {number} of the refinement; check the images for NaN "
            "and infinity, or lower the learning rate"
        )
    return step


def has_converged(trace: list[Step], tolerance: float, window: int = 10) -> bool:
    """Return whether the loss has decreased by less than the fraction `tolerance`.

    The mean of the last `window` steps is compared with that of the window before, because single
    steps are noisy: the consistency is taken at random points, and Adam overshoots. With a
    tolerance of 0 the result is always False.
    """
    if tolerance <= 0 or len(trace) < 2 * window:
        return False
    before = sum(step.loss for step in trace[-2 * window : -window])
    now = sum(step.loss for step in trace[-window:])
    return before - now < tolerance * abs(before)
