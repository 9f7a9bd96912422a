"""The inferer of the GradICON networks."""

from __future__ import annotations

from typing import Any, Literal

from torch import nn

from zoo.errors import UserError
from zoo.geometry import Grid
from zoo.registration.axis_order import ITK_ORDER, AxisOrder
from zoo.registration.inferer import Prediction, Size
from zoo.registration.progress import StageProgress
from zoo.registration.refinement import RefiningInferer, instance_pair
from zoo.registration.working_grid import Frame, Work
from zoo.solvers.instance_weights import refine_weights


class GradICONInferer(RefiningInferer):
    """For GradICON networks, whose weights were trained on [Z, Y, X] arrays, as ITK gives them.

    `refine_mode` "weights" refines as published, over all weights of the network; "field" moves
    the predicted displacement itself and is far cheaper.
    """

    def __init__(
        self, frame: Frame, *, refine_mode: Literal["weights", "field"] = "field", **more: Any
    ) -> None:
        super().__init__(frame, **more)
        if refine_mode not in ("weights", "field"):
            raise UserError(f"--refine-mode {refine_mode!r} is not known; use field or weights")
        self.refine_mode = refine_mode

    def order(self, grid: Grid) -> AxisOrder:
        """Return the order of ITK's arrays."""
        return ITK_ORDER

    def size(self, network: nn.Module) -> Size | None:
        """Return the lattice of weights that have one, where nothing else looks at their images."""
        own: Size | None = getattr(network, "size", None)
        by_weights = bool(self.refine) and self.refine_mode == "weights"
        return None if own is None or by_weights or self.masking != "loss" else own[::-1]

    def register(self, work: Work, network: nn.Module, progress: StageProgress) -> Prediction:
        """Return the transform, and the one of the reverse pass when it is asked for."""
        pair = instance_pair(work, ITK_ORDER)
        if self.refine and self.refine_mode == "weights":
            adapted = refine_weights(network, pair, progress=progress, **self.options)
            return self.found(work, adapted.displacement, adapted.reverse, ITK_ORDER)
        fields = self.predict(network, work, ITK_ORDER)
        if self.refine:
            fields = self.refined(*fields, pair, progress)
        return self.found(work, *fields, ITK_ORDER)
