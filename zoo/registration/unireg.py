"""UniReg: its inferer, its conditions, and the lattice that it works on."""

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
from zoo.registration.progress import StageProgress
from zoo.registration.refinement import RefiningInferer, instance_pair
from zoo.registration.working_grid import Frame, Work


class UniRegInferer(RefiningInferer):
    """For UniReg: its weights saw arrays that run foot to head, back to front, side to side.

    `type` and `region` are the conditions of the pair; without them nothing is registered. The
    notes report how large the kernels are that the controller wrote for each level.
    """

    def __init__(
        self, frame: Frame, *, type: str | None = None, region: Any = None, **more: Any
    ) -> None:
        super().__init__(frame, **more)
        self.type = type
        self.region = region

    def order(self, grid: Grid) -> AxisOrder:
        """Return foot to head, back to front, side to side, as the grid has them."""
        sides = [grid.axis_codes.find(letter) for letter in "RASLPI"]
        across, along, up = (max(sides[k], sides[k + 3]) for k in range(3))
        return (up, along, across)

    def register(self, work: Work, network: nn.Module, progress: StageProgress) -> Prediction:
        """Return the transform, and the one of the swapped pair when the inverse is asked for."""
        require_conditions(self.type, self.region)
        order = self.order(work.grid)
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
        return replace(self.found(work, *fields, order), notes={"kernel_norms": kernels})


def lattice(region: Any) -> tuple[int, int, int]:
    """Return how many voxels side to side, back to front and foot to head a region was trained on.

    A mixture of regions, or "unknown", takes the lattice of the body.
    """
    task = TASKS.get(region) if isinstance(region, str) else None
    up, along, across = task.size if task else BODY
    return across, along, up


def require_conditions(type: Any, region: Any) -> None:
    """Refuse to register a pair whose conditions nobody has told: they are never guessed."""
    for name, value, condition in (("type", type, TYPE), ("region", region, REGION)):
        if value is None:
            raise UserError(
                f"UniReg must be told the {name} of the pair: --{name} with one of "
                f"{', '.join(condition.allowed)} (for regzoo register: --anatomy and --pairing)"
            )
