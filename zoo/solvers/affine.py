"""The affine start: lays a moving image roughly on the fixed one before anything is deformed.

Centre of mass, then a rigid map from several starts, then an affine one, coarse to fine, by
mutual information; and the decision whether any of it is needed. What was tried and what it gave
is in docs/experiments/initial-alignment.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Literal, cast, get_args

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from zoo.errors import UserError
from zoo.geometry.grid import Grid
from zoo.measures.body import find_body
from zoo.solvers.overlay import Overlay

Kind = Literal["none", "com", "rigid", "affine", "given"]

LEVELS = ((24, 5_000), (48, 15_000), (80, 30_000))  # voxels across the field of view, points
TURN = 0.5  # rad, between the rotations that are tried
TURNED_STARTS = 4  # that are optimised, besides those without a rotation
NEEDED_GAIN = 0.1  # of the information there is: with less to gain the images are aligned already
LEAST_GAIN = 0.02  # and at least so much, where there is next to none
STRETCH_LIMIT = 1.5  # an affine map that stretches or shrinks more is refused


@dataclass(frozen=True)
class AffineAlignment:
    """An affine map and why it was chosen; of the kind "given" it was not searched.

    `matrix` is 4x4 float64, RAS+ mm, fixed world point -> moving world point. `similarity`
    (normalised mutual information, 1 to 2) and `overlap` (0 to 1) are (before, after); `shift` is
    how far the map moves the fixed image's body on average, mm.
    """

    matrix: Tensor
    kind: Kind
    reason: str
    similarity: tuple[float, float]
    overlap: tuple[float, float]
    shift: float


def align_affine(
    fixed: Tensor,
    fixed_grid: Grid,
    moving: Tensor,
    moving_grid: Grid,
    kind: Literal["auto", "com", "rigid", "affine", "none"] = "auto",
) -> AffineAlignment:
    """Find the affine map that lays `moving` [X, Y, Z] on `fixed` [X, Y, Z].

    `kind` is the largest family of maps to try; "auto" is "affine" unless the images are aligned
    already. A map that fits worse than a smaller family's is not returned.
    """
    if kind not in (allowed := ("auto", *get_args(Kind)[:-1])):
        raise UserError(f"affine start {kind!r} is not known; choose one of {', '.join(allowed)}")
    with _one_thread():
        levels = look(fixed, fixed_grid, moving, moving_grid)
        return choose(levels[-1], search(levels, "affine" if kind == "auto" else kind), kind)


def measure_given_affine(
    fixed: Tensor, fixed_grid: Grid, moving: Tensor, moving_grid: Grid, matrix: Tensor
) -> AffineAlignment:
    """Return a map that somebody made (`matrix`, 4x4, RAS+ mm), with its figures."""
    with _one_thread():
        finest = look(fixed, fixed_grid, moving, moving_grid)[-1]
        found: dict[Kind, Tensor] = {"none": torch.eye(4, dtype=torch.float64), "given": matrix}
        return choose(finest, found, "given")


def look(fixed: Tensor, fixed_grid: Grid, moving: Tensor, moving_grid: Grid) -> list[Overlay]:
    """Return both images ready to be compared, coarse to fine."""
    view = min(_extent(fixed_grid), _extent(moving_grid))
    finest = view / LEVELS[-1][0]
    a = find_body(fixed, fixed_grid, finest, "fixed")
    b = find_body(moving, moving_grid, finest, "moving")
    return [Overlay(a.at(view / across), b.at(view / across), n) for across, n in LEVELS]


def search(levels: list[Overlay], kind: Kind) -> dict[Kind, Tensor]:
    """Return the best map of every family up to `kind`: 4x4, RAS+ mm."""
    coarse, middle, fine = levels
    found: dict[Kind, Tensor] = {"none": torch.eye(4, dtype=torch.float64)}
    if kind != "none":
        found["com"] = coarse.matrix(torch.zeros(3, dtype=torch.float64))
    if kind in ("rigid", "affine"):
        starts = [optimise(coarse, start) for start in rigid_starts(coarse)]
        rigid = min(starts, key=lambda p: float(middle.cost(p)))
        rigid = optimise(middle, rigid)
        found["rigid"] = fine.matrix(rigid if kind == "affine" else optimise(fine, rigid))
    if kind == "affine":
        affine = torch.cat([rigid, torch.zeros(6, dtype=torch.float64)])
        found["affine"] = fine.matrix(optimise(fine, optimise(middle, affine)))
    return found


def rigid_starts(overlay: Overlay) -> list[Tensor]:
    """Return the most promising rigid parameters (6,) of a small grid of shifts and rotations.

    Shifts: the world as the headers say, centre of mass on centre of mass, centre of the field of
    view on centre. Rotations: none, which is always among the starts, and one step about every
    combination of axes.
    """
    fixed, moving = overlay.fixed, overlay.moving
    shifts = [
        fixed.centre - moving.centre,
        torch.zeros(3, dtype=torch.float64),
        (moving.grid.centre - moving.centre) - (fixed.grid.centre - fixed.centre),
    ]
    turns = [torch.tensor(t, dtype=torch.float64) for t in product((0, -1, 1), repeat=3)]
    starts = [
        torch.cat([shift, turn * TURN * overlay.radius]) for shift in shifts for turn in turns
    ]
    plain = starts[:: len(turns)]
    turned = [start for k, start in enumerate(starts) if k % len(turns)]
    return plain + sorted(turned, key=lambda p: float(overlay.cost(p)))[:TURNED_STARTS]


def choose(overlay: Overlay, found: dict[Kind, Tensor], kind: str) -> AffineAlignment:
    """Return the map that fits best among those found, and why.

    "com", "none" and "given" are obeyed.
    """
    quality = {name: float(overlay.quality(matrix)) for name, matrix in found.items()}
    stretch = {name: _stretch(matrix) for name, matrix in found.items()}
    best = max((name for name in found if stretch[name] <= STRETCH_LIMIT), key=quality.__getitem__)
    gain = quality[best] - quality["none"]
    needed = max(LEAST_GAIN, NEEDED_GAIN * quality["none"])
    reason = f"gains {gain:.3f} of mutual information on {quality['none']:.3f}"
    if kind in ("com", "none", "given"):
        best, reason = cast(Kind, kind), "asked for"
    elif best == "none":
        reason = "no map that was tried fits better than the images as they are"
    elif kind == "auto" and gain < needed:
        reason = f"the images are aligned already: {best} {reason}, {needed:.3f} is needed"
        best = "none"
    elif best != list(found)[-1]:
        reason += f"; a larger family fits no better or stretches beyond {STRETCH_LIMIT} times"
    before, after = overlay.compare(found["none"]), overlay.compare(found[best])
    return AffineAlignment(
        matrix=found[best],
        kind=best,
        reason=reason,
        similarity=(float(before[0]), float(after[0])),
        overlap=(float(before[1]), float(after[1])),
        shift=overlay.motion(found[best]),
    )


def optimise(overlay: Overlay, start: Tensor) -> Tensor:
    """Return the parameters (mm) that lower the cost from `start`, by L-BFGS."""

    def cost(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        with torch.enable_grad():
            p = torch.tensor(parameters, requires_grad=True)
            value = overlay.cost(p)
            (slope,) = torch.autograd.grad(value, p)
        return 1e3 * float(value.detach()), 1e3 * slope.numpy()

    options = {"maxiter": 50, "ftol": 1e-5, "gtol": 1e-3}
    return torch.tensor(
        minimize(cost, start.numpy(), jac=True, method="L-BFGS-B", options=options).x
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread: a few thousand points are read faster than threads are woken."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _stretch(matrix: Tensor) -> float:
    """Return the largest factor by which a 4x4 map lengthens or shortens a line."""
    factors = torch.linalg.svdvals(matrix[:3, :3])
    return float(torch.maximum(factors, 1 / factors).max())


def _extent(grid: Grid) -> float:
    """Return the side of the cube that has the volume of the field of view, mm."""
    return float((torch.linalg.det(grid.linear).abs() * grid.voxels) ** (1 / 3))
