"""Inferers whose prediction may be refined for each pair by instance optimisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zoo.datasets.pairs import Pair
from zoo.errors import UserError
from zoo.geometry import Transform, warp
from zoo.registration.axis_order import AxisOrder, reordered, restored
from zoo.registration.inferer import PairInferer, Prediction, Shape
from zoo.registration.intensity import looks_like_hounsfield
from zoo.registration.working_grid import Frame
from zoo.registration.working_pair import WorkingPair, exclude_padding
from zoo.solvers.affine import AffineAlignment
from zoo.solvers.instance import ImagePair, ProgressCallback
from zoo.solvers.instance_field import refine_field

SIMILARITIES = ("lncc", "lncc2", "mind")

REFINEMENT = ("learning_rate", "regularity", "dice_weight", "mass", "tolerance")


class RefiningInferer(PairInferer):
    """Registers a pair with a network whose prediction may be refined for the pair.

    Args:
        frame: Brings the images onto one working grid.
        refine: The number of steps of instance optimisation; 0 keeps the prediction.
        similarity: What the refinement maximises: lncc, lncc2 or mind.
        refinement: Further settings of the refinement, with the names in `REFINEMENT`.
        masking: Where masks apply: to the "loss" of the refinement, to the "input" of the network,
            which is set to zero outside, or to "both".
        more: The other arguments of `PairInferer`.
    """

    def __init__(
        self,
        frame: Frame,
        *,
        refine: int = 0,
        similarity: str = "lncc",
        refinement: Mapping[str, Any] | None = None,
        masking: Literal["loss", "input", "both"] = "loss",
        **more: Any,
    ) -> None:
        super().__init__(frame, **more)
        for name in refinement or {}:
            if name not in REFINEMENT:
                known = ", ".join(REFINEMENT)
                raise UserError(f"the setting refinement has no {name!r}; its keys are {known}")
        if masking not in ("loss", "input", "both"):
            raise UserError(f"masking {masking!r} is not known; use loss, input or both")
        if refine < 0:
            raise UserError(
                f"--refine {refine} must be 0 (prediction only) or a positive number of steps"
            )
        if similarity not in SIMILARITIES:
            known = ", ".join(SIMILARITIES)
            raise UserError(f"--similarity {similarity!r} is not known; use one of {known}")
        self.refine = refine
        self.options: dict[str, Any] = {"steps": refine, "similarity": similarity}
        self.options |= refinement or {}
        self.masking = masking

    def prepare(
        self, pair: Pair, alignment: AffineAlignment | None, network_shape: Shape | None = None
    ) -> WorkingPair:
        """Return the pair on its working grid, masked and with the labels that the loss needs."""
        work = super().prepare(exclude_padding(pair), alignment, network_shape)
        if self.masking != "loss":
            if pair.fixed_mask is None and pair.moving_mask is None:
                raise UserError(
                    f"masking {self.masking!r} needs a mask: add --fixed-mask FILE, "
                    "--moving-mask FILE or both"
                )
            if work.masks is not None:
                kept = work.masks if self.masking == "both" else None
                work = replace(work, image=work.image * work.masks, masks=kept)
        if self.options.get("mass"):
            for volume in (pair.fixed, *pair.moving):
                if not looks_like_hounsfield(volume.data):
                    raise UserError(
                        f"{volume.path} is not in Hounsfield units, which conservation of mass "
                        "requires; remove mass from the setting refinement"
                    )
        if self.options.get("dice_weight"):
            work = replace(work, labels=labels_on(work, pair))
        return work

    def predict(
        self, network: nn.Module, work: WorkingPair, order: AxisOrder
    ) -> tuple[Tensor, Tensor | None]:
        """Return the displacement on the working grid, and that of the swapped pair if needed."""
        own_input = work.network_input
        image = reordered(work.image if own_input is None else own_input, order)
        shape = () if own_input is None else ([work.image.shape[2 + axis] for axis in order],)
        needed = self.inverse or self.refine
        return network(image, *shape), network(image.flip(1), *shape) if needed else None

    def refined(
        self,
        displacement: Tensor,
        reverse: Tensor | None,
        pair: ImagePair,
        progress: ProgressCallback,
    ) -> tuple[Tensor, Tensor | None]:
        """Refine the predicted displacements themselves by instance optimisation."""
        result = refine_field(
            displacement, pair, reverse=reverse, progress=progress, **self.options
        )
        return result.displacement, result.reverse

    def prediction(
        self, work: WorkingPair, displacement: Tensor, reverse: Tensor | None, order: AxisOrder
    ) -> Prediction:
        """Convert displacements in the axis order of the network to transforms of the world."""
        transform = work.transform(restored(displacement, order))
        if not self.inverse or reverse is None:
            return Prediction(transform)
        return Prediction(transform, work.reverse_transform(restored(reverse, order)))


def instance_pair(work: WorkingPair, order: AxisOrder) -> ImagePair:
    """Return the pair of one moving image for instance optimisation, its axes in `order`."""
    image = reordered(work.image, order)
    masks = None if work.masks is None else reordered(work.masks, order)
    labels = None if work.labels is None else reordered(work.labels, order)
    return ImagePair(
        moving=image[:, :1],
        fixed=image[:, 1:],
        moving_mask=None if masks is None else masks[:, :1],
        fixed_mask=None if masks is None else masks[:, 1:],
        moving_labels=None if labels is None else labels[:, :1],
        fixed_labels=None if labels is None else labels[:, 1:],
    )


def labels_on(work: WorkingPair, pair: Pair) -> Tensor:
    """Return the labels of the moving and the fixed image on the working grid: [1, 2, X, Y, Z]."""
    if pair.fixed_labels is None or pair.moving_labels is None:
        raise UserError("a dice_weight needs --fixed-labels and --moving-labels")
    both = (
        (pair.moving_labels, Transform(work.affine)),
        (pair.fixed_labels, Transform.identity()),
    )
    sampled = [warp(v.data[None], v.grid, work.grid, t, interpolation="nearest") for v, t in both]
    return torch.cat([labels.float() for labels in sampled])[None].to(work.image.device)
