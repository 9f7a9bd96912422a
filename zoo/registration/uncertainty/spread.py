"""The spread of a registration under perturbations, accumulated one registration at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from zoo.datasets.pairs import Pair
from zoo.errors import UserError
from zoo.evaluation.metrics import require_finite
from zoo.geometry import Grid, Transform
from zoo.geometry.sampling import affine_index
from zoo.geometry.transform import slabs
from zoo.registration.result import RegisteredPair
from zoo.registration.uncertainty import perturbation as p

Register = Callable[[Pair], RegisteredPair]
"""Registers a pair as usual."""

FEWEST = 2
"""A standard deviation needs at least two registrations."""


def require_perturbations(count: int | None) -> None:
    """Raise `UserError` if `count` perturbed registrations have no standard deviation."""
    if count is not None and count < FEWEST:
        raise UserError(
            f"--uncertainty {count} is too small; a standard deviation needs at least {FEWEST} "
            "perturbed registrations; use 8, for instance"
        )


class Spread:
    """Mean and spread of the displacements of transforms on a grid, by Welford's algorithm.

    It holds four float32 numbers per voxel, however many transforms are added.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.count = 0
        self.mean = torch.zeros(3, *grid.shape)
        """The mean of T(x) - x: [3, X, Y, Z], RAS+ mm."""
        self._squares = torch.zeros(grid.shape)

    def add(self, transform: Transform) -> None:
        """Add one transform, which maps world points of the grid."""
        self.count += 1
        for start, stop in slabs(self.grid):
            displacement = _displacement(transform, self.grid, start, stop)
            mean = self.mean[:, start:stop]
            before = displacement - mean
            mean += before / self.count
            self._squares[start:stop] += (before * (displacement - mean)).sum(dim=0)

    def standard_deviation(self) -> Tensor:
        """Return the standard deviation of the displacement: [X, Y, Z], mm.

        It is the square root of the sum of the variances of the three components, each with the
        denominator n - 1.
        """
        return (self._squares / (self.count - 1)).clamp_min_(0).sqrt_()


def with_uncertainty(
    register: Register, pair: Pair, registered: RegisteredPair, count: int
) -> RegisteredPair:
    """Return the registration of a pair with its uncertainty under `count` perturbations."""
    started = time.perf_counter()
    uncertainty = estimate_uncertainty(register, pair, count)
    seconds = registered.seconds | {"uncertainty": time.perf_counter() - started}
    record = {
        "perturbations": count,
        "largest_rotation_degrees": p.ROTATION_DEGREES,
        "largest_shift_mm": p.shift_mm(pair.moving[0].grid),
        "largest_crop_voxels": p.CROP,
        "largest_log_gamma": p.GAMMA,
        "noise_sd_of_range": p.NOISE,
    }
    notes = registered.notes | {"uncertainty": record}
    return replace(registered, seconds=seconds, notes=notes, uncertainty=uncertainty)


def estimate_uncertainty(register: Register, pair: Pair, count: int) -> Tensor:
    """Return the standard deviation of the displacement under perturbations: [X, Y, Z], mm.

    It is on the grid of the fixed image. The pair is registered `count` times, each time with
    another perturbation, which is undone afterwards. Equal pairs give equal values.
    """
    spread = Spread(pair.fixed.grid)
    for seed in range(1, count + 1):
        perturbation = p.draw_perturbation(seed, pair.moving[0].grid)
        perturbed = replace(
            p.perturb(pair, perturbation), name=f"{pair.name}, perturbation {seed} of {count}"
        )
        found = register(perturbed).transform
        require_finite(found, f"the transform under perturbation {seed}")
        spread.add(p.undo(found, perturbation))
    return spread.standard_deviation()


def _displacement(transform: Transform, grid: Grid, start: int, stop: int) -> Tensor:
    """Return T(x) - x at rows `start` to `stop` of a grid: [3, x, Y, Z], RAS+ mm, on the CPU."""
    shape = (stop - start, *grid.shape[1:])
    change = transform.affine - torch.eye(4, dtype=torch.float64)
    out = affine_index(change @ grid.affine, shape, start=start)[0]
    step = transform.displacement_on(grid, start, stop).to(out)
    out += torch.matmul(transform.affine[:3, :3].to(out), step.flatten(1)).view_as(step)
    return out
