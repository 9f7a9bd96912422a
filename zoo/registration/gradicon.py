"""The inferer of the GradICON networks."""

from __future__ import annotations

from typing import Any, Literal

from torch import nn

from zoo.errors import UserError
from zoo.geometry import Grid
from zoo.registration.axis_order import ITK_ORDER, AxisOrder
from zoo.registration.inferer import Prediction, Shape
from zoo.registration.refinement import RefiningInferer, instance_pair
from zoo.registration.working_grid import Frame
from zoo.registration.working_pair import WorkingPair
from zoo.solvers.instance import ProgressCallback
from zoo.solvers.instance_weights import refine_weights


class GradICONInferer(RefiningInferer):
    """Registers a pair with a GradICON network, which was trained on [Z, Y, X] arrays from ITK.

    `refine_mode` "weights" refines over all weights of the network, as published; "field" refines
    the predicted displacement itself, which costs far less.
    """

    def __init__(
        self, frame: Frame, *, refine_mode: Literal["weights", "field"] = "field", **more: Any
    ) -> None:
        super().__init__(frame, **more)
        if refine_mode not in ("weights", "field"):
            raise UserError(f"--refine-mode {refine_mode!r} is not known; use field or weights")
        self.refine_mode = refine_mode

    def axis_order(self, grid: Grid) -> AxisOrder:
        """Return the axis order of ITK's arrays."""
        return ITK_ORDER

    def network_shape(self, network: nn.Module) -> Shape | None:
        """Return the shape that the weights were trained for, if they have one.

        Refinement over the weights and masking of the input work on the working grid instead.
        """
        trained: Shape | None = getattr(network, "size", None)
        by_weights = bool(self.refine) and self.refine_mode == "weights"
        return None if trained is None or by_weights or self.masking != "loss" else trained[::-1]

    def register(
        self, work: WorkingPair, network: nn.Module, progress: ProgressCallback
    ) -> Prediction:
        """Return the transform and, if it is requested, the one of the reverse pass."""
        pair = instance_pair(work, ITK_ORDER)
        if self.refine and self.refine_mode == "weights":
            adapted = refine_weights(network, pair, progress=progress, **self.options)
            return self.prediction(work, adapted.displacement, adapted.reverse, ITK_ORDER)
        fields = self.predict(network, work, ITK_ORDER)
        if self.refine:
            fields = self.refined(*fields, pair, progress)
        return self.prediction(work, *fields, ITK_ORDER)
