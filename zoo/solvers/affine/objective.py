"""The objective of the affine alignment: mutual information and overlap under an affine map.

All maps are in mm of the world (RAS+), so that oblique, flipped and unequal grids need no special
treatment. The images are compared at quasi-random points, because the histogram of a regular
lattice jumps whenever the lattice coincides with the voxels of the other image.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from zoo.geometry.grid import Grid
from zoo.geometry.sampling import sample
from zoo.measures.body import Body

BINS = 32  # of the joint histogram, per image
TAPS = 4  # bins over which the cubic B-spline spreads a value
LEAST_OVERLAP = 0.5  # fraction of the smaller body below which a map is penalised
OVERLAP_WEIGHT = 4.0
MOST_SPREAD = 8  # multiple of the points that are spread over a grid to hit a small region
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
        linear = torch.eye(3, dtype=torch.float64)
        if len(parameters) > 3:
            linear = torch.matrix_exp(_antisymmetric(parameters[3:6] / self.radius))
        if len(parameters) > 6:
            linear = linear @ torch.matrix_exp(_symmetric(parameters[6:] / self.radius))
        shift = self.moving.centre + parameters[:3] - linear @ self.fixed.centre
        last = torch.tensor([[0.0, 0.0, 0.0, 1.0]], dtype=torch.float64)
        return torch.cat([torch.cat([linear, shift[:, None]], dim=1), last])

    def motion(self, matrix: Tensor) -> float:
        """Return the mean distance in mm by which `matrix` moves the fixed body."""
        points = self.forward.points
        moved = points @ matrix[:3, :3].T + matrix[:3, 3]
        return float(((moved - points).norm(dim=1) * self.forward.weight).sum())

    def compare(self, matrix: Tensor) -> tuple[Tensor, Tensor]:
        """Return normalised mutual information (1 to 2) and overlap (0 to 1) under a 4x4 map.

        The overlap is the fraction of a body inside the field of view of the other image. The
        larger of the two directions counts, because a small image may be inside a large one.
        """
        forward, forward_overlap = self.forward.compare(matrix)
        backward, backward_overlap = self.backward.compare(torch.linalg.inv(matrix))
        return (forward + backward) / 2, torch.maximum(forward_overlap, backward_overlap)

    def information(self, matrix: Tensor) -> float:
        """Return the normalised mutual information above 1 times the overlap, under a 4x4 map.

        A map that leaves the overlap never gains, so that it compares distant positions.
        """
        similarity, overlap = self.compare(matrix)
        return float((similarity - 1) * overlap)

    def smaller_overlap(self, matrix: Tensor) -> float:
        """Return the smaller one of the overlaps of both directions, 0 to 1, under a 4x4 map."""
        overlaps = (
            self.forward.compare(matrix)[1],
            self.backward.compare(torch.linalg.inv(matrix))[1],
        )
        return float(min(overlaps))

    def quality(self, matrix: Tensor) -> Tensor:
        """Return the normalised mutual information above 1, minus a penalty for low overlap."""
        similarity, overlap = self.compare(matrix)
        return similarity - 1 - OVERLAP_WEIGHT * (LEAST_OVERLAP - overlap).clamp_min(0) ** 2

    def cost(self, parameters: Tensor) -> Tensor:
        """Return the negative quality plus a small penalty on rotation and stretch."""
        prior = (parameters[3:] / self.radius).square().sum()
        return PRIOR * prior - self.quality(self.matrix(parameters))


class BodySamples:
    """Sample points of one body, to be compared with the values of another image."""

    def __init__(self, body: Body, other: Body, samples: int) -> None:
        shape = torch.tensor(body.grid.shape, dtype=torch.float64)
        index = spread_points(_points_to_spread(body, samples)) * shape - 0.5
        counts = torch.ones(len(index), dtype=torch.float64)
        if body.region is not None:
            counts = _sample(body.region[None], index)[0]
            kept = (counts > 0).nonzero()[:samples, 0]
            index, counts = index[kept], counts[kept]
        image, mask = _sample(torch.stack([body.image, body.mask]), index)
        self.other = other
        self.points = body.grid.to_world(index)
        self.rows = (image * (BINS - 1)).round().long() * (BINS + TAPS - 1)
        self.weight = mask / mask.sum().clamp_min(1e-9)
        self.counts = counts

    def compare(self, matrix: Tensor) -> tuple[Tensor, Tensor]:
        """Return mutual information and the fraction of the body where the other image counts.

        Points at which one of the images does not count are left out.
        """
        to_index = self.other.grid.inverse @ matrix
        index = self.points @ to_index[:3, :3].T + to_index[:3, 3]
        inside = _inside(index, self.other.grid) * self.counts
        if self.other.region is None:
            (values,) = _sample(self.other.image[None], index)
        else:
            values, known = _sample(torch.stack([self.other.image, self.other.region]), index)
            inside = inside * known
        overlap = (self.weight * inside).sum()
        return information_ratio(joint_histogram(self.rows, values, inside)), overlap


def _points_to_spread(body: Body, samples: int) -> int:
    """Return how many points fill the grid of a body so that about `samples` lie in its region."""
    if body.region is None:
        return samples
    share = max(float(body.region.mean()), 1 / MOST_SPREAD)
    return min(round(samples / share), MOST_SPREAD * samples)


def optimise(objective: AffineObjective, start: Tensor) -> Tensor:
    """Return the parameters (mm) that minimise the cost from `start`, by L-BFGS."""
    from scipy.optimize import minimize

    def cost(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        with torch.enable_grad():
            p = torch.tensor(parameters, requires_grad=True)
            value = objective.cost(p)
            (slope,) = torch.autograd.grad(value, p)
        return 1e3 * float(value.detach()), 1e3 * slope.numpy()

    options = {"maxiter": 50, "ftol": 1e-5, "gtol": 1e-3}
    return torch.tensor(
        minimize(cost, start.numpy(), jac=True, method="L-BFGS-B", options=options).x
    )


def spread_points(count: int) -> Tensor:
    """Return the first points of the R3 sequence in the unit cube, (count, 3) float64.

    Its steps are powers of the root of x^4 = x + 1. The points cover the cube evenly at any count.
    """
    root = 1.2207440846057596
    steps = torch.tensor([1 / root, 1 / root**2, 1 / root**3], dtype=torch.float64)
    return (0.5 + torch.arange(1, count + 1, dtype=torch.float64)[:, None] * steps) % 1


def joint_histogram(rows: Tensor, values: Tensor, weight: Tensor) -> Tensor:
    """Return the joint histogram [BINS, BINS + 3], normalised to the sum 1 and smooth in `values`.

    `rows` (n,) is the index in the flat table at which the row of each point starts. Each of
    `values` (n,) in [0, 1] is spread over four bins by a cubic B-spline and counts with its
    `weight` (n,).
    """
    position = values * (BINS - 1)
    low = position.detach().floor()
    t = position - low
    spline = (
        (1 - t) ** 3 / 6,
        (4 - 6 * t**2 + 3 * t**3) / 6,
        (1 + 3 * t + 3 * t**2 - 3 * t**3) / 6,
        t**3 / 6,
    )
    first = rows + low.long()
    table = torch.zeros(BINS * (BINS + TAPS - 1), dtype=torch.float64)
    for tap, share in enumerate(spline):
        table = table.index_add(0, first + tap, share * weight)
    return (table / table.sum().clamp_min(1e-9)).view(BINS, BINS + TAPS - 1)


def information_ratio(joint: Tensor) -> Tensor:
    """Return the normalised mutual information, 1 to 2, of a joint histogram.

    It is (H(fixed) + H(moving)) / H(fixed, moving). In contrast to
    `zoo.measures.normalised_mutual_information` it is differentiable.
    """
    marginals = _entropy(joint.sum(0)) + _entropy(joint.sum(1))
    return (marginals + 1e-9) / (_entropy(joint) + 1e-9)


def _entropy(probabilities: Tensor) -> Tensor:
    return -(probabilities * (probabilities + 1e-12).log()).sum()


def _sample(channels: Tensor, index: Tensor) -> Tensor:
    """Interpolate [C, X, Y, Z] linearly at (n, 3) voxel indices and return (C, n) float64."""
    positions = index.T.float().reshape(1, 3, -1, 1, 1)
    return sample(channels[None], positions).reshape(len(channels), -1).double()


def _inside(index: Tensor, grid: Grid) -> Tensor:
    """Return the weight of (n, 3) voxel indices: 1 inside, falling to 0 one voxel outside."""
    weight = torch.ones(len(index), dtype=torch.float64)
    for k, n in enumerate(grid.shape):
        weight = weight * (index[:, k] + 1).clamp(0, 1) * (n - index[:, k]).clamp(0, 1)
    return weight


def _antisymmetric(v: Tensor) -> Tensor:
    """Return the 3x3 matrix of the cross product with `v` (3,)."""
    x, y, z = v.unbind()
    o = torch.zeros_like(x)
    return torch.stack([o, -z, y, z, o, -x, -y, x, o]).view(3, 3)


def _symmetric(v: Tensor) -> Tensor:
    """Return the symmetric 3x3 matrix with the diagonal v[:3] and xy, xz, yz = v[3:]."""
    return torch.stack([v[0], v[3], v[4], v[3], v[1], v[5], v[4], v[5], v[2]]).view(3, 3)
