"""The lattice that UniReg works on, by region."""

from typing import Any

from zoo.networks.unireg_tasks import BODY, TASKS


def lattice(region: Any) -> tuple[int, int, int]:
    """Return how many voxels side to side, back to front and foot to head a region was trained on.

    A mixture of regions, or "unknown", takes the lattice of the body.
    """
    task = TASKS.get(region) if isinstance(region, str) else None
    up, along, across = task.size if task else BODY
    return across, along, up
