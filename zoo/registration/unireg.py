"""What UniReg must be told of a pair, and the lattice that it works on."""

from typing import Any

from zoo.errors import UserError
from zoo.networks.conditions import REGION, TYPE
from zoo.networks.unireg_tasks import BODY, TASKS


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
