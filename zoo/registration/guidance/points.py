"""Registration that landmarks steer.

A smooth transform is computed from the landmarks first, the moving image is resampled with it, and
the pair is registered as usual. Where the images pull a landmark away from its partner again, the
composed transform is corrected by a second smooth transform. Every fifth landmark is held out: it
does not steer, and its error shows what the guidance is worth.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from zoo.datasets.pairs import Pair
from zoo.errors import UserError
from zoo.geometry import Grid, Transform, folding_percent, invert, jacobian_determinant, warp
from zoo.io.volume import Volume
from zoo.registration.guidance.held_out import Register, held_out_of
from zoo.registration.guidance.landmarks import landmark_transform
from zoo.registration.result import RegisteredPair

MOST_LANDMARKS = 1000
"""The spline is solved densely; more landmarks would take minutes and add little."""
MOST_FOLDING = 1.0
"""The largest percentage of folding of the transform from the landmarks alone."""


def register_with_points(register: Register, pair: Pair) -> RegisteredPair:
    """Register a pair that has landmarks, which steer the registration.

    The result contains the landmarks that were held out, and no others, so that its landmark error
    is theirs. `guide` in the notes says how many steered, and what the error of the others is
    before, after the landmarks alone and after the registration.
    """
    started = time.perf_counter()
    fixed, moving = _landmarks(pair)
    held_out = torch.zeros(len(fixed), dtype=torch.bool)
    held_out[held_out_of(len(fixed))] = True
    start = _start(fixed[~held_out], moving[~held_out], pair.fixed.grid)
    seconds = time.perf_counter() - started
    found = register(_resampled(pair, start))
    grid, moving_grid = pair.fixed.grid, pair.moving[0].grid
    composed = found.transform.then(start, grid)
    mapped = composed.map_points(fixed[~held_out])
    correction = landmark_transform(mapped, moving[~held_out], moving_grid, affine_part=False)
    transform = composed.then(correction, grid)
    inverse = None if found.inverse is None else invert(transform, moving_grid).transform
    stages = {"before": Transform.identity(), "guide": start, "after": transform}
    record: dict[str, Any] = {"kind": "points", "guiding": int((~held_out).sum())}
    record["held_out"] = int(held_out.sum())
    for name, stage in stages.items():
        error = (stage.map_points(fixed[held_out]) - moving[held_out]).norm(dim=1)
        record[f"held_out_error_mm_{name}"] = float(error.mean()) if len(error) else None
    notes = found.notes | {"guide": record}
    if "search_limit_mm" in notes:  # it limits the displacement that is left after the landmarks
        reach = 0.0 if start.field is None else float(start.field.norm(dim=0).max())
        notes["search_limit_mm"] += reach
    left = (fixed[held_out], moving[held_out]) if held_out.any() else (None, None)
    measured = replace(pair, fixed_points=left[0], moving_points=left[1])
    return RegisteredPair(measured, transform, inverse, found.seconds | {"guide": seconds}, notes)


def _landmarks(pair: Pair) -> tuple[Tensor, Tensor]:
    """Return the landmarks of both images, (n, 3) in RAS+ mm."""
    fixed, moving = pair.fixed_points, pair.moving_points
    if fixed is None or moving is None:
        raise UserError("--guide points needs landmarks; add --fixed-points and --moving-points")
    if len(fixed) > MOST_LANDMARKS:
        raise UserError(
            f"--guide points takes at most {MOST_LANDMARKS} landmarks, and the files have "
            f"{len(fixed)}; leave some out"
        )
    return fixed, moving


def _start(fixed: Tensor, moving: Tensor, grid: Grid) -> Transform:
    """Return the transform of the landmarks; refuse landmarks that contradict each other."""
    start = landmark_transform(fixed, moving, grid)
    assert start.grid is not None
    folding = folding_percent(jacobian_determinant(start, start.grid))
    if folding > MOST_FOLDING:
        raise UserError(
            f"the landmarks contradict each other: the smooth map that they determine folds in "
            f"{folding:.0f} % of the fixed image; check that both files list them in the same "
            "order, and check --points-space"
        )
    return start


def _resampled(pair: Pair, transform: Transform) -> Pair:
    """Return a pair whose moving images, labels and mask are resampled on the fixed grid."""
    grid = pair.fixed.grid

    def moved(volume: Volume, *, labels: bool = False) -> Volume:
        data = warp(
            volume.data[None],
            volume.grid,
            grid,
            transform,
            interpolation="nearest" if labels else "linear",
            fill=0.0 if labels else min(0.0, float(volume.data.min())),
        )
        return replace(volume, data=data[0], grid=grid)

    return replace(
        pair,
        moving=tuple(moved(volume) for volume in pair.moving),
        moving_mask=None if pair.moving_mask is None else moved(pair.moving_mask, labels=True),
        moving_labels=None
        if pair.moving_labels is None
        else moved(pair.moving_labels, labels=True),
        fixed_points=None,
        moving_points=None,
    )
