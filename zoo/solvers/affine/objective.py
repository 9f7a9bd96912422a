"""The objective of the affine alignment: mutual information and overlap under an affine map.

All maps are in mm of the world (RAS+), so that oblique, flipped and unequal grids need no special
treatment.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from zoo.measures.body import Body
from zoo.solvers.affine.comparison import BodySamples, Comparison
from zoo.solvers.affine.parameters import (
    Array,
    rotation,
    rotation_slope,
    stretch,
    stretch_slope,
)

LEAST_OVERLAP = 0.5  # fraction of the smaller body below which a map is penalised
OVERLAP_WEIGHT = 4.0
PRIOR = 0.05  # cost of each squared radian of rotation and each squared logarithm of stretch


class AffineObjective:
    """The quality and the cost of affine maps between a fixed and a moving body.

    A map has up to twelve parameters, all in mm: three for the shift, three for the rotation and
    six for the stretch, of which the last nine are the distance that a point at the body's radius
    moves. Zero parameters align the centres of mass. The similarity is the mean of both
    directions, so that the result does not depend on which image is the fixed one. `samples` is the
    number of points of each direction. `is_cut` says whether the end of the data cuts off a body,
    so that the images may show different parts of it.
    """

    def __init__(self, fixed: Body, moving: Body, samples: int, *, is_cut: bool = False) -> None:
        self.fixed, self.moving = fixed, moving
        self.is_cut = is_cut
        self.forward = BodySamples(fixed, moving, samples)
        self.backward = BodySamples(moving, fixed, samples)

    @cached_property
    def radius(self) -> float:
        """The root mean square distance of the fixed body from its centre, mm."""
        squared = (self.forward.points - self.fixed.centre).square().sum(1)
        return max(float((squared * self.forward.weight).sum().sqrt()), 1e-3)

    @cached_property
    def moving_radius(self) -> float:
        """The root mean square distance of the moving body from its centre, mm."""
        squared = (self.backward.points - self.moving.centre).square().sum(1)
        return max(float((squared * self.backward.weight).sum().sqrt()), 1e-3)

    def matrix(self, parameters: Tensor) -> Tensor:
        """Return the 4x4 map, RAS+ mm, from fixed to moving points for 3, 6 or 12 parameters in mm.

        Rotation and stretch are matrix exponentials, so no parameters reflect or flatten a body.
        """
        return torch.from_numpy(self._map(parameters.numpy())[0])

    def _map(self, parameters: Array) -> tuple[Array, Array, Array]:
        """Return the 4x4 map of 3, 6 or 12 parameters, its rotation and its stretch (3, 3)."""
        turn: Array = np.eye(3)
        lengthening: Array = np.eye(3)
        if len(parameters) > 3:
            turn = rotation(parameters[3:6] / self.radius)
        if len(parameters) > 6:
            lengthening = stretch(parameters[6:] / self.radius)
        matrix = np.eye(4)
        matrix[:3, :3] = turn @ lengthening
        centre = self.moving.centre.numpy() + parameters[:3]
        matrix[:3, 3] = centre - matrix[:3, :3] @ self.fixed.centre.numpy()
        return matrix, turn, lengthening

    def motion(self, matrix: Tensor) -> float:
        """Return the mean distance in mm by which `matrix` moves the fixed body."""
        points = self.forward.points
        moved = points @ matrix[:3, :3].T + matrix[:3, 3]
        return float(((moved - points).norm(dim=1) * self.forward.weight).sum())

    def compare(self, matrix: Tensor) -> tuple[float, float]:
        """Return normalised mutual information (1 to 2) and overlap (0 to 1) under a 4x4 map.

        The overlap is the fraction of a body inside the field of view of the other image. The
        larger of the two directions counts, because a small image may be inside a large one.
        """
        forward, backward = self._both_directions(matrix.numpy())
        similarity = (forward.similarity + backward.similarity) / 2
        return similarity, max(forward.overlap, backward.overlap)

    def information(self, matrix: Tensor) -> float:
        """Return the normalised mutual information above 1 times the overlap, under a 4x4 map.

        A map that leaves the overlap never gains, so that it compares distant positions.
        """
        similarity, overlap = self.compare(matrix)
        return (similarity - 1) * overlap

    def smaller_overlap(self, matrix: Tensor) -> float:
        """Return the smaller one of the overlaps of both directions, 0 to 1, under a 4x4 map."""
        forward, backward = self._both_directions(matrix.numpy())
        return min(forward.overlap, backward.overlap)

    def quality(self, matrix: Tensor) -> float:
        """Return the normalised mutual information above 1, minus a penalty for low overlap."""
        return _quality(*self.compare(matrix))

    def cost(self, parameters: Tensor) -> float:
        """Return the negative quality plus a small penalty on rotation and stretch."""
        prior = float((parameters[3:] / self.radius).square().sum())
        return PRIOR * prior - self.quality(self.matrix(parameters))

    def cost_and_slope(self, parameters: Array) -> tuple[float, Array]:
        """Return the cost and its derivative by the 3, 6 or 12 parameters."""
        matrix, turn, lengthening = self._map(parameters)
        inverse = np.linalg.inv(matrix)
        forward, backward = self._both_directions(matrix, with_slopes=True)
        overlap = max(forward.overlap, backward.overlap)
        by_overlap = 2 * OVERLAP_WEIGHT * max(LEAST_OVERLAP - overlap, 0.0)
        slopes = []
        for direction in (forward, backward):
            counts = by_overlap if direction.overlap == overlap else 0.0
            slopes.append(direction.similarity_slope / 2 + counts * direction.overlap_slope)
        by_map = slopes[0] - (inverse.T @ slopes[1] @ inverse.T)  # d(M^-1) = -M^-1 dM M^-1
        by_shift = by_map[:3, 3]
        by_linear = by_map[:3, :3] - np.outer(by_shift, self.fixed.centre.numpy())
        reduced = parameters / self.radius
        by_parameters = [by_shift]
        if len(parameters) > 3:
            by_parameters.append(rotation_slope(reduced[3:6], by_linear @ lengthening.T))
        if len(parameters) > 6:
            by_parameters.append(stretch_slope(reduced[6:], turn.T @ by_linear))
        prior = float((reduced[3:] ** 2).sum())
        slope = -np.concatenate(by_parameters)
        slope[3:] = (slope[3:] + 2 * PRIOR * reduced[3:]) / self.radius
        quality = _quality((forward.similarity + backward.similarity) / 2, overlap)
        return PRIOR * prior - quality, slope

    def _both_directions(
        self, matrix: Array, with_slopes: bool = False
    ) -> tuple[Comparison, Comparison]:
        """Compare the samples of each body with the other image; the slopes are by the own map."""
        inverse: Array = np.linalg.inv(matrix)
        return (
            self.forward.compare(matrix, with_slopes),
            self.backward.compare(inverse, with_slopes),
        )


def _quality(similarity: float, overlap: float) -> float:
    return similarity - 1 - OVERLAP_WEIGHT * max(LEAST_OVERLAP - overlap, 0.0) ** 2


def optimise(objective: AffineObjective, start: Tensor) -> Tensor:
    """Return the parameters (mm) that minimise the cost from `start`, by L-BFGS."""
    from scipy.optimize import minimize

    def cost(parameters: Array) -> tuple[float, Array]:
        value, slope = objective.cost_and_slope(parameters)
        return 1e3 * value, 1e3 * slope

    options = {"maxiter": 100, "ftol": 1e-7, "gtol": 1e-3}
    return torch.tensor(
        minimize(cost, start.numpy(), jac=True, method="L-BFGS-B", options=options).x
    )
