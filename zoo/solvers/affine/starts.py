"""Starting points of the rigid search: the positions from which the alignment is optimised."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

from zoo.solvers.affine.comparison import BodySamples
from zoo.solvers.affine.objective import AffineObjective

TURN = 0.5  # rad, between the rotations that are tried
TURNED_STARTS = 4  # starting points with a rotation that are optimised
SHIFTS = 5  # positions that are tried along each axis where the images may cover different parts
SHIFTED_STARTS = 2  # of these positions, the number that are optimised
OVERHANG = 0.25  # part of the smaller body that may lie outside the larger one along an axis
_POINTS = 2_000  # at which the shifts are compared


def rigid_starts(objective: AffineObjective) -> list[Tensor]:
    """Return the most promising rigid parameters (6,) of a small grid of shifts and rotations.

    The shifts are that of the headers, that of the centres of mass, and that of the centres of the
    fields of view; of equal ones, one is kept. The rotations are none, which is always among the
    results, and one step about every combination of axes. If a body is cut off, the images may show
    different parts of it, and the best of `shifted_starts` are added.
    """
    fixed, moving = objective.fixed, objective.moving
    proposed = [
        fixed.centre - moving.centre,
        torch.zeros(3, dtype=torch.float64),
        (moving.grid.centre - moving.centre) - (fixed.grid.centre - fixed.centre),
    ]
    shifts = _distinct(proposed, min(*fixed.grid.spacing, *moving.grid.spacing) / 2)
    turns = [torch.tensor(t, dtype=torch.float64) for t in product((0, -1, 1), repeat=3)]
    starts = [
        torch.cat([shift, turn * TURN * objective.radius]) for shift in shifts for turn in turns
    ]
    plain = starts[:: len(turns)]
    turned = [start for k, start in enumerate(starts) if k % len(turns)]
    best = sorted(turned, key=objective.cost)[:TURNED_STARTS]
    return plain + best + (shifted_starts(objective) if objective.is_cut else [])


def shifted_starts(objective: AffineObjective) -> list[Tensor]:
    """Return the best shifts of a grid, as rigid parameters (6,), that are no neighbours in it.

    Along each axis of the world the grid extends from one position to the other in which the
    smaller body lies at an end of the larger one and `OVERHANG` of it is outside.
    """
    quick = AffineObjective(objective.fixed, objective.moving, _POINTS)
    (low, high), (moving_low, moving_high) = _extent(quick.forward), _extent(quick.backward)
    length, moving_length = high - low, moving_high - moving_low
    smaller = torch.minimum(length, moving_length)
    reach = (length - moving_length).abs() / 2 + OVERHANG * smaller
    centre = (moving_low + moving_high - low - high) / 2 - objective.moving.centre
    centre = centre + objective.fixed.centre
    steps = torch.linspace(-1, 1, SHIFTS, dtype=torch.float64)
    places = list(product(range(SHIFTS), repeat=3))
    starts = [
        torch.cat([centre + reach * steps[list(place)], torch.zeros(3, dtype=torch.float64)])
        for place in places
    ]
    information = [quick.information(quick.matrix(start)) for start in starts]
    chosen: list[int] = []
    for k in sorted(range(len(starts)), key=lambda k: -information[k]):
        apart = [max(abs(a - b) for a, b in zip(places[k], places[j], strict=True)) for j in chosen]
        if len(chosen) < SHIFTED_STARTS and min(apart, default=SHIFTS) > 1:
            chosen.append(k)
    return [starts[k] for k in chosen]


def _distinct(points: list[Tensor], distance: float) -> list[Tensor]:
    """Return the points (3,) that are at least `distance` from those before them."""
    kept: list[Tensor] = []
    for point in points:
        if all(float((point - other).norm()) >= distance for other in kept):
            kept.append(point)
    return kept


def _extent(samples: BodySamples) -> tuple[Tensor, Tensor]:
    """Return the lowest and the highest world coordinates (3,) of the body's points, mm."""
    points = samples.points[samples.weight > 0]
    return points.amin(0), points.amax(0)
