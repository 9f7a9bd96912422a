"""Mutual information and overlap at sample points of a body, and their derivatives by a map.

The images are compared at quasi-random points, because the histogram of a regular lattice jumps
whenever the lattice coincides with the voxels of the other image.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from zoo.geometry.grid import Grid
from zoo.geometry.sampling import sample
from zoo.measures.body import Body
from zoo.solvers.affine.parameters import Array

BINS = 32  # of the joint histogram, per image
TAPS = 4  # bins over which the cubic B-spline spreads a value
MOST_SPREAD = 8  # multiple of the points that are spread over a grid to hit a small region


class Comparison(NamedTuple):
    """Similarity and overlap of the samples of a body, with their derivatives (4, 4) by the map."""

    similarity: float
    overlap: float
    similarity_slope: Array
    overlap_slope: Array


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
        row = (image * (BINS - 1)).round().long().clamp(0, BINS - 1)
        self.rows = row * (BINS + TAPS - 1)
        self.weight = mask / mask.sum().clamp_min(1e-9)
        self.counts = counts

    def compare(self, matrix: Array, with_slopes: bool = False) -> Comparison:
        """Return mutual information and the fraction of the body where the other image counts.

        Points at which one of the images does not count are left out. `matrix`, 4x4, maps the
        points into the world of the other image. Without `with_slopes` the derivatives are zero.
        """
        to_index = self.other.grid.inverse.numpy()
        try:
            from zoo.solvers.affine.compiled import compare  # numba is imported where it is needed
        except ImportError:  # numba has no wheel for this computer
            compare = compare_with_torch
        similarity, overlap, *slopes = compare(self, (to_index @ matrix)[:3], with_slopes)
        by_map = np.zeros((2, 4, 4))
        by_map[:, :3] = to_index[:3, :3].T @ np.stack(slopes)
        return Comparison(similarity, overlap, by_map[0], by_map[1])


def compare_with_torch(
    samples: BodySamples, to_index: Array, with_slopes: bool
) -> tuple[float, float, Array, Array]:
    """Return similarity, overlap, and the derivatives (3, 4) of both by `to_index` (3, 4)."""
    with torch.set_grad_enabled(with_slopes):
        map_ = torch.tensor(to_index, requires_grad=with_slopes)
        index = samples.points @ map_[:, :3].T + map_[:, 3]
        inside = _inside(index, samples.other.grid) * samples.counts
        image, region = samples.other.image, samples.other.region
        if region is None:
            (values,) = _sample(image[None], index)
        else:
            values, known = _sample(torch.stack([image, region]), index)
            inside = inside * known
        overlap = (samples.weight * inside).sum()
        similarity = information_ratio(joint_histogram(samples.rows, values, inside))
        slopes = [np.zeros((3, 4)), np.zeros((3, 4))]
        if with_slopes:
            slopes = [
                torch.autograd.grad(value, map_, retain_graph=True)[0].numpy()
                for value in (similarity, overlap)
            ]
    return float(similarity.detach()), float(overlap.detach()), slopes[0], slopes[1]


def _points_to_spread(body: Body, samples: int) -> int:
    """Return how many points fill the grid of a body so that about `samples` lie in its region."""
    if body.region is None:
        return samples
    share = max(float(body.region.mean()), 1 / MOST_SPREAD)
    return min(round(samples / share), MOST_SPREAD * samples)


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
