"""Compiled loops of the fluid refinement for the CPU; each handles rows of the first axis.

Volumes are contiguous float32 arrays, displacements [3, X, Y, Z] in voxels with component k along
array axis k. Every kernel writes rows `start` to `stop` of its results and reads what it needs
around them, so that rows can be split over threads without changing a bit of the result.
`steps.TorchSteps` computes the same with torch, which passes over the volumes once for each
product, filter and sampling.
"""

from __future__ import annotations

import numpy as np

from zoo.solvers.compilation import compiled
from zoo.solvers.fluid.filters import Array, filter_first, filter_plane


@compiled
def warp_rows(
    image: Array, mask: Array, field: Array, warped: Array, valid: Array, start: int, stop: int
) -> None:
    """Sample `image` and `mask` [X, Y, Z] linearly at i + field(i) into `warped` and `valid`.

    The border is repeated. `valid` is one where all neighbours of the point are inside the mask and
    the point is inside the grid, otherwise zero.
    """
    nx, ny, nz = image.shape
    for i in range(start, stop):
        for j in range(ny):
            for k in range(nz):
                x = i + field[0, i, j, k]
                y = j + field[1, i, j, k]
                z = k + field[2, i, j, k]
                inside = -0.5 <= x < nx - 0.5 and -0.5 <= y < ny - 0.5 and -0.5 <= z < nz - 0.5
                x = min(max(x, np.float32(0)), np.float32(nx - 1))
                y = min(max(y, np.float32(0)), np.float32(ny - 1))
                z = min(max(z, np.float32(0)), np.float32(nz - 1))
                a, b, c = int(x), int(y), int(z)
                a1, b1, c1 = min(a + 1, nx - 1), min(b + 1, ny - 1), min(c + 1, nz - 1)
                u, v, w = x - np.float32(a), y - np.float32(b), z - np.float32(c)
                p, q, r = np.float32(1) - u, np.float32(1) - v, np.float32(1) - w
                warped[i, j, k] = p * (
                    q * (r * image[a, b, c] + w * image[a, b, c1])
                    + v * (r * image[a, b1, c] + w * image[a, b1, c1])
                ) + u * (
                    q * (r * image[a1, b, c] + w * image[a1, b, c1])
                    + v * (r * image[a1, b1, c] + w * image[a1, b1, c1])
                )
                share = p * (
                    q * (r * mask[a, b, c] + w * mask[a, b, c1])
                    + v * (r * mask[a, b1, c] + w * mask[a, b1, c1])
                ) + u * (
                    q * (r * mask[a1, b, c] + w * mask[a1, b, c1])
                    + v * (r * mask[a1, b1, c] + w * mask[a1, b1, c1])
                )
                valid[i, j, k] = 1 if inside and share >= np.float32(0.999) else 0


@compiled
def compose_rows(outer: Array, inner: Array, out: Array, start: int, stop: int) -> None:
    """Write outer(i + inner(i)) + inner(i) for two displacements; the border is repeated."""
    nx, ny, nz = outer.shape[1:]
    for i in range(start, stop):
        for j in range(ny):
            for k in range(nz):
                x = min(max(i + inner[0, i, j, k], np.float32(0)), np.float32(nx - 1))
                y = min(max(j + inner[1, i, j, k], np.float32(0)), np.float32(ny - 1))
                z = min(max(k + inner[2, i, j, k], np.float32(0)), np.float32(nz - 1))
                a, b, c = int(x), int(y), int(z)
                a1, b1, c1 = min(a + 1, nx - 1), min(b + 1, ny - 1), min(c + 1, nz - 1)
                u, v, w = x - np.float32(a), y - np.float32(b), z - np.float32(c)
                p, q, r = np.float32(1) - u, np.float32(1) - v, np.float32(1) - w
                w000, w001, w010, w011 = p * q * r, p * q * w, p * v * r, p * v * w
                w100, w101, w110, w111 = u * q * r, u * q * w, u * v * r, u * v * w
                for m in range(3):
                    out[m, i, j, k] = (
                        inner[m, i, j, k]
                        + w000 * outer[m, a, b, c]
                        + w001 * outer[m, a, b, c1]
                        + w010 * outer[m, a, b1, c]
                        + w011 * outer[m, a, b1, c1]
                        + w100 * outer[m, a1, b, c]
                        + w101 * outer[m, a1, b, c1]
                        + w110 * outer[m, a1, b1, c]
                        + w111 * outer[m, a1, b1, c1]
                    )


@compiled
def sums_in_planes(
    fixed: Array,
    fixed_mask: Array,
    warped: Array,
    valid: Array,
    window: Array,
    sums: Array,
    start: int,
    stop: int,
) -> None:
    """Sum six products over the windows within each plane: [6, X, Y, Z].

    With the weight v of a voxel they are v, v F, v W, v F^2, v W^2 and v F W.
    """
    ny, nz = fixed.shape[1:]
    product = np.empty((ny, nz), np.float32)
    spare = np.empty((ny, nz), np.float32)
    for i in range(start, stop):
        for m in range(6):
            for j in range(ny):
                for k in range(nz):
                    v = fixed_mask[i, j, k] * valid[i, j, k]
                    f = fixed[i, j, k]
                    w = warped[i, j, k]
                    if m == 0:
                        product[j, k] = v
                    elif m == 1:
                        product[j, k] = v * f
                    elif m == 2:
                        product[j, k] = v * w
                    elif m == 3:
                        product[j, k] = v * f * f
                    elif m == 4:
                        product[j, k] = v * w * w
                    else:
                        product[j, k] = v * f * w
            filter_plane(product, window, spare, sums[m, i])


@compiled
def coefficients(
    sums: Array,
    window: Array,
    least_count: float,
    least_variance: float,
    out: Array,
    start: int,
    stop: int,
) -> tuple[float, int]:
    """Turn the sums into the coefficients of the derivative, filtered within each plane.

    The correlation of a window of n voxels is c = cov / sqrt(var F var W). With
    a = max(c, 0)^2 / (n sqrt(var F var W)) and b = cov / var W the coefficients [3, X, Y, Z] are a,
    a b and a mean F - a b mean W. They are zero where n is below `least_count` or a variance below
    `least_variance`. Returns the sum of the correlations and the number of windows.
    """
    ny, nz = sums.shape[2:]
    total, count = 0.0, 0
    plane = np.empty((6, ny, nz), np.float32)
    result = np.empty((3, ny, nz), np.float32)
    spare = np.empty((ny, nz), np.float32)
    for i in range(start, stop):
        for m in range(6):
            filter_first(sums[m], window, i, plane[m])
        for j in range(ny):
            for k in range(nz):
                n = plane[0, j, k]
                result[0, j, k] = result[1, j, k] = result[2, j, k] = 0
                if n < least_count:
                    continue
                share = np.float32(1) / n
                mean_f, mean_w = plane[1, j, k] * share, plane[2, j, k] * share
                var_f = plane[3, j, k] * share - mean_f * mean_f
                var_w = plane[4, j, k] * share - mean_w * mean_w
                if var_f < least_variance or var_w < least_variance:
                    continue
                cov = plane[5, j, k] * share - mean_f * mean_w
                inverse = np.float32(1) / np.sqrt(var_f * var_w)
                correlation = cov * inverse
                weight = max(correlation, np.float32(0))
                a = share * inverse * weight * weight
                ab = a * cov / var_w
                result[0, j, k] = a
                result[1, j, k] = ab
                result[2, j, k] = a * mean_f - ab * mean_w
                total += correlation
                count += 1
        for m in range(3):
            filter_plane(result[m], window, spare, out[m, i])
    return total, count


@compiled
def force_rows(
    fixed: Array,
    fixed_mask: Array,
    warped: Array,
    valid: Array,
    filtered: Array,
    window: Array,
    taps: Array,
    out: Array,
    start: int,
    stop: int,
) -> None:
    """Write force and curvature, smoothed within each plane by `taps`: [4, X, Y, Z].

    `filtered` comes from `coefficients`. The force is the derivative by the displacement of a third
    of the summed cubes of the correlations. The curvature is the sum of a over the windows of a
    voxel, times the squared gradient of the warped image, which is the second derivative of the
    weighted squared differences of the normalised windows. The gradient is taken by central
    differences.
    """
    nx, ny, nz = fixed.shape
    plane = np.empty((3, ny, nz), np.float32)
    force = np.empty((4, ny, nz), np.float32)
    spare = np.empty((ny, nz), np.float32)
    for i in range(start, stop):
        for m in range(3):
            filter_first(filtered[m], window, i, plane[m])
        i0, i1 = max(i - 1, 0), min(i + 1, nx - 1)
        for j in range(ny):
            j0, j1 = max(j - 1, 0), min(j + 1, ny - 1)
            for k in range(nz):
                k0, k1 = max(k - 1, 0), min(k + 1, nz - 1)
                w = warped[i, j, k]
                v = fixed_mask[i, j, k] * valid[i, j, k]
                slope = v * (plane[0, j, k] * fixed[i, j, k] - plane[2, j, k] - plane[1, j, k] * w)
                x = (warped[i1, j, k] - warped[i0, j, k]) / np.float32(max(i1 - i0, 1))
                y = (warped[i, j1, k] - warped[i, j0, k]) / np.float32(max(j1 - j0, 1))
                z = (warped[i, j, k1] - warped[i, j, k0]) / np.float32(max(k1 - k0, 1))
                force[0, j, k] = slope * x
                force[1, j, k] = slope * y
                force[2, j, k] = slope * z
                force[3, j, k] = v * plane[0, j, k] * (x * x + y * y + z * z)
        for m in range(4):
            filter_plane(force[m], taps, spare, out[m, i])


@compiled
def divide_rows(
    force: Array, floor: float, gain: float, longest: float, start: int, stop: int
) -> None:
    """Turn force and curvature [4, X, Y, Z] into steps in place, all shorter than `longest`."""
    ny, nz = force.shape[2:]
    for i in range(start, stop):
        for j in range(ny):
            for k in range(nz):
                h = (force[3, i, j, k] + floor) / gain
                x, y, z = force[0, i, j, k] / h, force[1, i, j, k] / h, force[2, i, j, k] / h
                f = np.float32(1) / (np.float32(1) + np.sqrt(x * x + y * y + z * z) / longest)
                force[0, i, j, k] = x * f
                force[1, i, j, k] = y * f
                force[2, i, j, k] = z * f
