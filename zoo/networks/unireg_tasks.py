"""The six tasks on which UniReg was trained: sizes, loss settings and conditions, as data.

Sizes and windows are (D, H, W): head to foot, back to front, side to side. The released weights
were trained with the axes in this order, so their working lattice has it too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from zoo.errors import UserError

Three = tuple[int, int, int]

COARSEST = 8
"""Voxels of the image per voxel of the coarsest level, along each axis; sizes are multiples."""

CT_WINDOW = (-150.0, 250.0)
"""Hounsfield units of a CT that are mapped to 0 and 1; values outside are clipped."""

MR_PERCENTILES = (0.5, 99.5)
"""Percentiles of the foreground of any other image that are mapped to 0 and 1."""


@dataclass(frozen=True)
class Task:
    """One training task.

    `size` is the grid in voxels to which both images were resampled, `window` the window in voxels
    of the local squared correlation, `smoothness` the weight of the squared gradient of the flow,
    and `sampling` the relative frequency of the task in training. The pairs of a `prealigned` task
    had a coarse alignment: only the residual flow was smoothed, and the correlation was masked.
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
"""The training task of each region."""


def coarser(voxels: int, body: Sequence[int]) -> int:
    """Return the size of an axis of `voxels` voxels after scaling the published body to `body`.

    All axes are scaled by the ratio of the first axis, which `check_body` guarantees to fit.
    """
    return max(2, round(voxels * body[0] / BODY[0] / COARSEST)) * COARSEST


def check_body(body: Sequence[int]) -> Three:
    """Return the body lattice (D, H, W); raise an error unless it is the published one, scaled."""
    ratio = body[0] / BODY[0] if len(body) == len(BODY) else 0
    scaled = [max(1, round(n * ratio / COARSEST)) * COARSEST for n in BODY]
    if min(body) < 1 or any(abs(n - m) > COARSEST for n, m in zip(body, scaled, strict=False)):
        raise UserError(
            f"the UniReg size {list(body)} is not the published size {list(BODY)} scaled by one "
            f"ratio; give for example {[n // 2 for n in BODY]}"
        )
    return body[0], body[1], body[2]
