"""How well a moving image lies on a fixed one under an affine map: mutual information, overlap.

Everything is in mm of the world (RAS+), so that oblique, flipped and unequal grids need no care.
The images are compared at quasi-random points: a regular lattice would make the histogram jump
whenever it falls on the voxels of the other image.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from zoo.geometry.grid import Grid
from zoo.geometry.sampling import sample
from zoo.measures.body import Body

BINS = 32  # of the joint histogram, a side
TAPS = 4  # a value touches as many bins: cubic B-spline
LEAST_OVERLAP = 0.5  # share of the smaller body below which a map is penalised
OVERLAP_WEIGHT = 4.0
PRIOR = 0.05  # information a map must gain for each squared radian, and squared log of stretch


class Overlay:
    """A fixed body, a moving body, and the family of maps between them.

    A map takes up to twelve numbers, all in mm: three for the shift, three for the rotation and
    six for the stretch, the last nine as the distance they move a point at the body's radius.
    All zero is the map that lays one centre of mass on the other. Similarity is the mean of both
    directions, so that the answer does not depend on which image is called fixed.
    """

    def __init__(self, fixed: Body, moving: Body, samples: int) -> None:
        self.fixed, self.moving = fixed, moving
        self.forward = ImageRegion(fixed, moving, samples)
        self.backward = ImageRegion(moving, fixed, samples)

    @cached_property
    def radius(self) -> float:
        """The root mean square distance of the fixed body from its centre, mm."""
        apart = (self.forward.points - self.fixed.centre).square().sum(1)
        return max(float((apart * self.forward.weight).sum().sqrt()), 1e-3)

    def matrix(self, parameters: Tensor) -> Tensor:
        """Return the 4x4 map fixed -> moving, RAS+ mm, of 3, 6 or 12 parameters in mm.

        Rotation and stretch are matrix exponentials: no parameter reflects or flattens.
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
        """Return how far `matrix` moves the fixed body on average, mm."""
        points = self.forward.points
        moved = points @ matrix[:3, :3].T + matrix[:3, 3]
        return float(((moved - points).norm(dim=1) * self.forward.weight).sum())

    def compare(self, matrix: Tensor) -> tuple[Tensor, Tensor]:
        """Return normalised mutual information (1 to 2) and overlap (0 to 1) under a 4x4 map.

        The overlap is the part of a body inside the other image's field of view, the larger of
        the two directions: a small image may lie within a large one.
        """
        there, overlap = self.forward.compare(matrix)
        back, overlap_back = self.backward.compare(torch.linalg.inv(matrix))
        return (there + back) / 2, torch.maximum(overlap, overlap_back)

    def quality(self, matrix: Tensor) -> Tensor:
        """Return the information above none, less what a lost overlap costs."""
        similarity, overlap = self.compare(matrix)
        return similarity - 1 - OVERLAP_WEIGHT * (LEAST_OVERLAP - overlap).clamp_min(0) ** 2

    def cost(self, parameters: Tensor) -> Tensor:
        """Return what the optimiser lowers: lost quality, and a little for turn and stretch."""
        bent = (parameters[3:] / self.radius).square().sum()
        return PRIOR * bent - self.quality(self.matrix(parameters))


class ImageRegion:
    """Points of one body, ready to be compared with what another image holds there."""

    def __init__(self, body: Body, other: Body, samples: int) -> None:
        shape = torch.tensor(body.grid.shape, dtype=torch.float64)
        index = spread_points(samples) * shape - 0.5
        image, mask = _read(torch.stack([body.image, body.mask]), index)
        self.other = other
        self.points = body.grid.to_world(index)
        self.rows = (image * (BINS - 1)).round().long() * (BINS + TAPS - 1)
        self.weight = mask / mask.sum().clamp_min(1e-9)

    def compare(self, matrix: Tensor) -> tuple[Tensor, Tensor]:
        """Return mutual information and the share of the body inside the other field of view."""
        to_index = self.other.grid.inverse @ matrix
        index = self.points @ to_index[:3, :3].T + to_index[:3, 3]
        (values,) = _read(self.other.image[None], index)
        inside = _inside(index, self.other.grid)
        overlap = (self.weight * inside).sum()
        return information(joint_histogram(self.rows, values, inside)), overlap


def spread_points(count: int) -> Tensor:
    """Return the first points of the R3 sequence in the unit cube, (count, 3) float64.

    Its steps are the powers of the root of x^4 = x + 1: even coverage at any count, no chance.
    """
    root = 1.2207440846057596
    steps = torch.tensor([1 / root, 1 / root**2, 1 / root**3], dtype=torch.float64)
    return (0.5 + torch.arange(1, count + 1, dtype=torch.float64)[:, None] * steps) % 1


def joint_histogram(rows: Tensor, values: Tensor, weight: Tensor) -> Tensor:
    """Return the joint histogram [BINS, BINS + 3], sum 1, smooth in `values`.

    `rows` (n,) is each point's first place in the flat table, `values` (n,) in [0, 1] is spread
    over four bins by a cubic B-spline, `weight` (n,) says how much a point counts.
    """
    place = values * (BINS - 1)
    low = place.detach().floor()
    t = place - low
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


def information(joint: Tensor) -> Tensor:
    """Return (H(fixed) + H(moving)) / H(fixed, moving) of a joint histogram."""
    parts = _entropy(joint.sum(0)) + _entropy(joint.sum(1))
    return (parts + 1e-9) / (_entropy(joint) + 1e-9)


def _entropy(shares: Tensor) -> Tensor:
    return -(shares * (shares + 1e-12).log()).sum()


def _read(channels: Tensor, index: Tensor) -> Tensor:
    """Read [C, X, Y, Z] linearly at (n, 3) voxel indices -> (C, n) float64."""
    where = index.T.float().reshape(1, 3, -1, 1, 1)
    return sample(channels[None], where).reshape(len(channels), -1).double()


def _inside(index: Tensor, grid: Grid) -> Tensor:
    """Say how far (n, 3) voxel indices lie in the field of view: 1, falling over a voxel to 0."""
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
