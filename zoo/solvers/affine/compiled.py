"""Compiled mutual information and overlap under an affine map, with their derivatives.

One pass over the points samples the other image and fills the joint histogram; a second one carries
the derivative of the histogram back to the map. The same in torch, which is in
`zoo.solvers.affine.comparison`, passes over the points some hundred times.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zoo.solvers.affine.comparison import BINS, TAPS, BodySamples
from zoo.solvers.affine.parameters import Array
from zoo.solvers.compilation import compiled

Image = NDArray[np.float32]
Rows = NDArray[np.int64]

COLUMNS = BINS + TAPS - 1


def compare(
    samples: BodySamples, to_index: Array, with_slopes: bool
) -> tuple[float, float, Array, Array]:
    """Return similarity, overlap, and the derivatives (3, 4) of both by `to_index` (3, 4).

    `to_index` maps world points to voxel indices of the other image. Without `with_slopes` the
    derivatives are zero.
    """
    points = Points(
        samples.points.numpy(), samples.rows.numpy(), samples.weight.numpy(), samples.counts.numpy()
    )
    image, region = samples.other.image, samples.other.region
    known = image if region is None else region
    seen = Seen(*np.empty((2, len(points.rows))), *np.empty((2, len(points.rows), 3)))
    table = np.zeros(BINS * COLUMNS)
    overlap = _look(points, image.numpy(), known.numpy(), region is not None, to_index, seen, table)
    similarity, table_slope = _information(table)
    slopes = np.zeros((2, 3, 4))
    if with_slopes:
        _carry_back(points, seen, table_slope, slopes)
    return similarity, min(overlap, 1.0), slopes[0], slopes[1]


class Points(NamedTuple):
    """Sample points of one body: world positions (n, 3) in RAS+ mm, and three values (n,) of each.

    `rows` is the index in the flat histogram at which the row of a point starts, `weight` its share
    of the body, and `counts` how much it counts, 0 to 1.
    """

    positions: Array
    rows: Rows
    weight: Array
    counts: Array


class Seen(NamedTuple):
    """What `n` points see of the other image, which their map places among its voxels.

    `values` and `inside` (n,) are its value and the weight of the point; `slopes` and
    `inside_slopes` (n, 3) are the derivatives of both by the voxel index.
    """

    values: Array
    inside: Array
    slopes: Array
    inside_slopes: Array


@compiled
def _look(
    points: Points,
    image: Image,
    region: Image,
    has_region: bool,
    to_index: Array,
    seen: Seen,
    table: Array,
) -> float:
    """Look up the points in an image [X, Y, Z], which counts in the `region` [X, Y, Z].

    The region is ignored without `has_region`. `seen` and the flat histogram `table` are filled;
    the overlap is returned.
    """
    overlap = 0.0
    nx, ny, nz = image.shape
    for n in range(len(points.rows)):
        i, j, k = _mapped(to_index, points.positions, n)
        a, da = _inside(i, nx)
        b, db = _inside(j, ny)
        c, dc = _inside(k, nz)
        value, dx, dy, dz = _read(image, i, j, k)
        known, kx, ky, kz = _read(region, i, j, k) if has_region else (1.0, 0.0, 0.0, 0.0)
        within = points.counts[n] * a * b * c
        value = value if value >= 0 else 0.0
        inside = within * known
        seen.values[n], seen.inside[n] = value, inside
        seen.slopes[n, 0], seen.slopes[n, 1], seen.slopes[n, 2] = dx, dy, dz
        known *= points.counts[n]
        seen.inside_slopes[n, 0] = known * da * b * c + within * kx
        seen.inside_slopes[n, 1] = known * a * db * c + within * ky
        seen.inside_slopes[n, 2] = known * a * b * dc + within * kz
        overlap += points.weight[n] * inside
        _add(table, points.rows[n], value, inside)
    return overlap


@compiled
def _carry_back(points: Points, seen: Seen, table_slope: Array, slopes: Array) -> None:
    """Add the derivatives of similarity and overlap by the map to `slopes` (2, 3, 4).

    `table_slope` is the derivative of the similarity by the flat histogram.
    """
    for n in range(len(points.rows)):
        by_value, by_weight = _gather(table_slope, points.rows[n], seen.values[n])
        for axis in range(3):
            by_index = seen.inside[n] * by_value * seen.slopes[n, axis]
            by_index += by_weight * seen.inside_slopes[n, axis]
            _carry(slopes[0], axis, by_index, points.positions, n)
            by_index = points.weight[n] * seen.inside_slopes[n, axis]
            _carry(slopes[1], axis, by_index, points.positions, n)


@compiled
def _mapped(matrix: Array, positions: Array, n: int) -> tuple[float, float, float]:
    """Return point `n` of `positions` (n, 3), mapped by `matrix` (3, 4)."""
    x, y, z = positions[n, 0], positions[n, 1], positions[n, 2]
    return (
        matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3],
        matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3],
        matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3],
    )


@compiled
def _carry(slope: Array, axis: int, by_index: float, positions: Array, n: int) -> None:
    """Add the derivative by an index of point `n` to that by the map, (3, 4)."""
    slope[axis, 0] += by_index * positions[n, 0]
    slope[axis, 1] += by_index * positions[n, 1]
    slope[axis, 2] += by_index * positions[n, 2]
    slope[axis, 3] += by_index


@compiled
def _inside(index: float, size: int) -> tuple[float, float]:
    """Return a weight, 1 inside and falling to 0 one voxel outside, and its derivative."""
    low, high = index + 1, size - index
    if not (low > 0 and high > 0):  # also for NaN
        return 0.0, 0.0
    if low < 1:
        return low * min(high, 1.0), min(high, 1.0)
    if high < 1:
        return high, -1.0
    return 1.0, 0.0


@compiled
def _read(image: Image, i: float, j: float, k: float) -> tuple[float, float, float, float]:
    """Interpolate `image` [X, Y, Z] linearly at an index; return the value and the derivatives.

    The border is repeated.
    """
    a, a1, u, on_x = _cell(i, image.shape[0])
    b, b1, v, on_y = _cell(j, image.shape[1])
    c, c1, w, on_z = _cell(k, image.shape[2])
    c000, c001 = float(image[a, b, c]), float(image[a, b, c1])
    c010, c011 = float(image[a, b1, c]), float(image[a, b1, c1])
    c100, c101 = float(image[a1, b, c]), float(image[a1, b, c1])
    c110, c111 = float(image[a1, b1, c]), float(image[a1, b1, c1])
    # Interpolated along z, then along y, then along x.
    d00, d01 = c001 - c000, c011 - c010
    d10, d11 = c101 - c100, c111 - c110
    e00, e01, e10, e11 = c000 + w * d00, c010 + w * d01, c100 + w * d10, c110 + w * d11
    f0, f1 = e00 + v * (e01 - e00), e10 + v * (e11 - e10)
    near, far = d00 + v * (d01 - d00), d10 + v * (d11 - d10)
    dy = (e01 - e00) + u * ((e11 - e10) - (e01 - e00))
    return f0 + u * (f1 - f0), on_x * (f1 - f0), on_y * dy, on_z * (near + u * (far - near))


@compiled
def _cell(index: float, size: int) -> tuple[int, int, float, float]:
    """Return the two voxels around an index, the part of the way between them, and 1 inside."""
    if not index > 0:  # also for NaN, which must not become an address
        return 0, min(1, size - 1), 0.0, 0.0
    if index >= size - 1:
        return size - 1, size - 1, 0.0, 0.0
    low = int(index)
    return low, low + 1, index - low, 1.0


@compiled
def _add(table: Array, row: int, value: float, weight: float) -> None:
    """Add a value in [0, 1] to its four bins of a row of the flat histogram, with a weight."""
    position = value * (BINS - 1)
    low = int(position)
    t = position - low
    first = row + low
    table[first] += weight * (1 - t) ** 3 / 6
    table[first + 1] += weight * (4 - 6 * t**2 + 3 * t**3) / 6
    table[first + 2] += weight * (1 + 3 * t + 3 * t**2 - 3 * t**3) / 6
    table[first + 3] += weight * t**3 / 6


@compiled
def _gather(table: Array, row: int, value: float) -> tuple[float, float]:
    """Return the derivatives of the similarity by the value of a point and by its weight.

    `table` is the derivative by the flat histogram. That by the value is for a weight of 1.
    """
    position = value * (BINS - 1)
    low = int(position)
    t = position - low
    first = row + low
    a, b, c, d = table[first], table[first + 1], table[first + 2], table[first + 3]
    by_weight = (
        a * (1 - t) ** 3
        + b * (4 - 6 * t**2 + 3 * t**3)
        + c * (1 + 3 * t + 3 * t**2 - 3 * t**3)
        + d * t**3
    ) / 6
    by_position = (
        -a * (1 - t) ** 2 + b * (3 * t**2 - 4 * t) + c * (1 + 2 * t - 3 * t**2) + d * t**2
    ) / 2
    return by_position * (BINS - 1), by_weight


def _information(table: Array) -> tuple[float, Array]:
    """Return the normalised mutual information of a flat histogram, and the derivative by it."""
    total = max(table.sum(), 1e-9)
    joint = (table / total).reshape(BINS, COLUMNS)
    (first, by_first), (second, by_second), (both, by_joint) = (
        _entropy(probabilities) for probabilities in (joint.sum(1), joint.sum(0), joint)
    )
    ratio = (first + second + 1e-9) / (both + 1e-9)
    slope = (by_first[:, None] + by_second - ratio * by_joint) / (both + 1e-9)
    return float(ratio), ((slope - (slope * joint).sum()) / total).ravel()


def _entropy(probabilities: Array) -> tuple[float, Array]:
    """Return the entropy of a distribution, and its derivative by the probabilities."""
    logarithm = np.log(probabilities + 1e-12)
    slope = -logarithm - probabilities / (probabilities + 1e-12)
    return -float((probabilities * logarithm).sum()), slope
