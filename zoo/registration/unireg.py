"""UniReg: its inferer, its conditions, and the shape of its working grid."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from torch import nn

from zoo.errors import UserError
from zoo.geometry import Grid
from zoo.geometry.displacement_maps import resize_displacement
from zoo.networks import UniReg
from zoo.networks.conditions import REGION, TYPE
from zoo.networks.unireg_tasks import BODY, TASKS
from zoo.registration.axis_order import AxisOrder, reordered
from zoo.registration.inferer import Prediction
from zoo.registration.refinement import RefiningInferer, instance_pair
from zoo.registration.working_grid import Frame
from zoo.registration.working_pair import WorkingPair
from zoo.solvers.instance import ProgressCallback


class UniRegInferer(RefiningInferer):
    """Registers a pair with UniReg, which was trained on arrays in an anatomical axis order.

    The axes run from foot to head, from back to front and from side to side. `type` and `region`
    are the conditions of the pair, both required. The notes of the result contain the norms of the
    kernels that the controller generated for each level.
    """

    def __init__(
        self, frame: Frame, *, type: str | None = None, region: Any = None, **more: Any
    ) -> None:
        super().__init__(frame, **more)
        self.type = type
        self.region = region

    def axis_order(self, grid: Grid) -> AxisOrder:
        """Return the axes of `grid` from foot to head, from back to front and from side to side."""
        sides = [grid.axis_codes.find(letter) for letter in "RASLPI"]
        across, along, up = (max(sides[k], sides[k + 3]) for k in range(3))
        return (up, along, across)

    def register(
        self, work: WorkingPair, network: nn.Module, progress: ProgressCallback
    ) -> Prediction:
        """Return the transform and, if it is requested, the one of the swapped pair."""
        require_conditions(self.type, self.region)
        order = self.axis_order(work.grid)
        image = reordered(work.image, order)
        levels = list(cast("UniReg", network).levels(image))
        kernels = {
            f"1/{level.step}": [round(float(weight.norm()), 4) for weight, _ in level.kernels]
            for level in levels
        }
        needed = self.inverse or self.refine
        flow = resize_displacement(levels[-1].flow, image.shape[2:])
        fields = flow, network(image.flip(1)) if needed else None
        if self.refine:
            fields = self.refined(*fields, instance_pair(work, order), progress)
        return replace(self.prediction(work, *fields, order), notes={"kernel_norms": kernels})


def lattice(region: Any) -> tuple[int, int, int]:
    """Return the shape that a region was trained on, for `AnatomicalFrame`.

    The shape counts voxels from side to side, from back to front and from foot to head. A mixture
    of regions, "unknown" and None take the shape of the body.
    """
    task = TASKS.get(region) if isinstance(region, str) else None
    up, along, across = task.size if task else BODY
    return across, along, up


def require_conditions(type: Any, region: Any) -> None:
    """Raise `UserError` if a condition of the pair is missing; conditions are never guessed."""
    for name, value, condition in (("type", type, TYPE), ("region", region, REGION)):
        if value is None:
            raise UserError(
                f"UniReg needs the {name} of the pair: set {name} to one of "
                f"{', '.join(condition.allowed)} (regzoo register derives both conditions from "
                "--anatomy and --pairing)"
            )
