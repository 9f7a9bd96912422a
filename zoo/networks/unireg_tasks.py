"""The six tasks on which UniReg was trained, as data: what each pair looked like and was asked for.

Sizes and windows are (D, H, W): head to foot, back to front, side to side. That is the order of
axes in which the released weights were trained, so their working lattice lies that way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from zoo.errors import UserError

Three = tuple[int, int, int]

COARSEST = 8
"""The coarsest level has a voxel for each 8x8x8 voxels of the image; a lattice divides by it."""

CT_WINDOW = (-150.0, 250.0)
"""Hounsfield units of a CT that become 0 and 1; values outside are clipped."""

MR_PERCENTILES = (0.5, 99.5)
"""Percentiles of the foreground of any other image that become 0 and 1."""


@dataclass(frozen=True)
class Task:
    """One training task.

    `size` is the grid that both images were resampled to, voxels; `window` that of the local
    squared correlation, voxels; `smoothness` the weight of the squared gradient of the flow;
    `sampling` how often the task came up against the others. A `prealigned` pair came with a coarse
    alignment: only the residual flow was smoothed, and the correlation was masked.
    """

    region: str
    type: Literal["inter", "intra"]
    size: Three
    window: Three
    smoothness: float
    sampling: int
    prealigned: bool


BODY, CUBE = (160, 192, 192), (9, 9, 9)

TASKS: dict[str, Task] = {
    task.region: task
    for task in (
        Task("cardiac", "intra", (16, 128, 128), (3, 9, 9), 0.5, 4, False),
        Task("liver", "intra", BODY, CUBE, 10.0, 2, False),
        Task("head", "inter", BODY, CUBE, 1.0, 2, True),
        Task("abdomen", "inter", BODY, CUBE, 1.0, 2, True),
        Task("chest", "inter", BODY, CUBE, 1.0, 2, True),
        Task("brain", "inter", (192, 224, 160), CUBE, 1.0, 2, False),
    )
}
"""The settings of each region's task."""


def coarser(voxels: int, body: Sequence[int]) -> int:
    """Return how many voxels an axis of `voxels` has when the body's lattice is `body`.

    The ratio of the first axis is that of all: see `check_body`.
    """
    return max(2, round(voxels * body[0] / BODY[0] / COARSEST)) * COARSEST


def check_body(body: Sequence[int]) -> Three:
    """Return a lattice of the body (D, H, W); refuse one that is not the published one, scaled."""
    ratio = body[0] / BODY[0] if len(body) == len(BODY) else 0
    scaled = [max(1, round(n * ratio / COARSEST)) * COARSEST for n in BODY]
    if min(body) < 1 or any(abs(n - m) > COARSEST for n, m in zip(body, scaled, strict=False)):
        raise UserError(
            f"UniReg's size {list(body)} is not {list(BODY)} times one ratio; give such as "
            f"{[n // 2 for n in BODY]}"
        )
    return body[0], body[1], body[2]
