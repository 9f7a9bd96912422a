"""Instance optimisation: a prediction is improved on the very pair that it was made for.

What both ways of doing it share: the objective of a pair, the trace, when to stop, the result.
`instance_weights` optimises the weights of the network that predicted, as published;
`instance_field` optimises the displacement itself, far cheaper, for any model's prediction.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from zoo.errors import UserError
from zoo.geometry.sampling import Outside, identity_index, sample
from zoo.losses import Similarity, conserve_mass, shared_one_hot, soft_dice, trim

ProgressCallback = Callable[[float, str], None]


@dataclass(frozen=True)
class ImagePair:
    """Two images on one grid, and what else is known of them.

    `moving`, `fixed`: [1, 1, X, Y, Z] in [0, 1]. Masks and label maps: [1, 1, X, Y, Z], each in its
    own image's space; the similarity counts where the mask of the target is not zero.
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
            raise UserError(f"an image to refine has the shape [1, 1, X, Y, Z], not {list(shape)}")
        for name in ("moving", "moving_mask", "fixed_mask", "moving_labels", "fixed_labels"):
            other = getattr(self, name)
            if other is not None and other.shape != shape:
                raise UserError(
                    f"the {name.replace('_', ' ')} has the shape {list(other.shape)}, the fixed"
                    f" image {list(shape)}: bring both to one grid first"
                )


@dataclass(frozen=True)
class Step:
    """What one step cost, before it was taken; `folding` is a share in [0, 1]."""

    loss: float
    similarity: float
    regularity: float
    folding: float

    def __str__(self) -> str:
        return f"loss {self.loss:.4f}, folding {100 * self.folding:.3f} %"


@dataclass(frozen=True)
class Refined:
    """Fields [1, 3, X, Y, Z] in voxels (`reverse` maps the moving image's grid), and the trace."""

    displacement: Tensor
    reverse: Tensor | None
    trace: list[Step] = field(default_factory=list)


class Misfit:
    """How badly a pair fits under its fields: similarity, and Dice of labels when asked for.

    Both directions (moving onto fixed, fixed onto moving) are one batch of two, or one of one
    without `both`, and their misfits are summed. With `mass` a warped CT is multiplied by the
    change of volume. A mask that is not given covers its whole image. `outside` is what a warped
    image shows where its source has nothing.
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
                raise UserError("a Dice weight needs the label maps of both images")
            moving, fixed = shared_one_hot(pair.moving_labels, pair.fixed_labels)
            self.source_labels = self._batch(moving, fixed)
            self.target_labels = self._batch(fixed, moving)
        with torch.no_grad():
            self.prepared = similarity.prepare(targets)

    def __call__(self, displacement: Tensor) -> Tensor:
        """Return the misfit, a scalar, under fields [directions, 3, X, Y, Z] in voxels."""
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


def checked(step: Step, trace: list[Step]) -> Step:
    """Return `step` when its loss is a number."""
    if not math.isfinite(step.loss):
        raise UserError(
            f"the loss is {step.loss} at step {len(trace) + 1} of the refinement: check the images"
            " for values that are not numbers, or lower the learning rate"
        )
    return step


def settled(trace: list[Step], tolerance: float, window: int = 10) -> bool:
    """Say whether the mean loss of the last `window` steps fell by less than a share `tolerance`.

    It is compared with the window before: single steps are noisy, because the points at which the
    consistency is taken are random and Adam overshoots. A tolerance of 0 never settles.
    """
    if tolerance <= 0 or len(trace) < 2 * window:
        return False
    before = sum(step.loss for step in trace[-2 * window : -window])
    now = sum(step.loss for step in trace[-window:])
    return before - now < tolerance * abs(before)
