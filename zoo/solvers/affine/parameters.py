"""Rotations and stretches as exponentials of few parameters, with their derivatives.

Everything is float64 numpy, because torch takes longer to dispatch operations on 3x3 matrices than
the comparison of the images takes. A slope is the derivative of a number by what it is named after.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

SMALL = 1e-4
"""Angles and differences below which the series replaces a quotient that is 0 / 0 at zero."""


def rotation(vector: Array) -> Array:
    """Return the rotation (3, 3) about the direction of `vector` (3,) by its length in radians."""
    cross = _cross(vector)
    sine, cosine, _ = _coefficients(float(np.linalg.norm(vector)))
    return np.eye(3) + sine * cross + cosine * cross @ cross


def rotation_slope(vector: Array, slope: Array) -> Array:
    """Return the slope (3,) of the vector for the `slope` (3, 3) of its rotation."""
    # A change of the vector by d rotates further by the vector J d, where J is `jacobian`.
    _, cosine, cubic = _coefficients(float(np.linalg.norm(vector)))
    cross = _cross(vector)
    jacobian = np.eye(3) + cosine * cross + cubic * cross @ cross
    turned = slope @ rotation(vector).T
    further = np.array([
        turned[2, 1] - turned[1, 2],
        turned[0, 2] - turned[2, 0],
        turned[1, 0] - turned[0, 1],
    ])  # fmt: skip
    slope_of_vector: Array = jacobian.T @ further
    return slope_of_vector


def stretch(vector: Array) -> Array:
    """Return the exponential (3, 3) of the symmetric matrix with xx, yy, zz, xy, xz, yz."""
    values, axes = np.linalg.eigh(_symmetric(vector))
    matrix: Array = (axes * np.exp(values)) @ axes.T
    return matrix


def stretch_slope(vector: Array, slope: Array) -> Array:
    """Return the slope (6,) of the vector for the `slope` (3, 3) of its stretch."""
    values, axes = np.linalg.eigh(_symmetric(vector))
    difference = values[:, None] - values[None]
    mean = np.exp((values[:, None] + values[None]) / 2)
    far = np.abs(difference) > SMALL
    # (e^a - e^b) / (a - b) = e^((a + b) / 2) sinh(d / 2) / (d / 2) with d = a - b
    quotient = mean * np.where(
        far, np.sinh(difference / 2) / np.where(far, difference / 2, 1), 1 + difference**2 / 24
    )
    matrix = axes @ (quotient * (axes.T @ slope @ axes)) @ axes.T
    pairs = matrix + matrix.T
    return np.array([*np.diag(matrix), pairs[0, 1], pairs[0, 2], pairs[1, 2]])


def _coefficients(angle: float) -> tuple[float, float, float]:
    """Return sin(a) / a, (1 - cos(a)) / a^2 and (a - sin(a)) / a^3."""
    if angle < SMALL:
        return 1 - angle**2 / 6, 0.5 - angle**2 / 24, 1 / 6 - angle**2 / 120
    sine, cosine = np.sin(angle), np.cos(angle)
    return sine / angle, (1 - cosine) / angle**2, (angle - sine) / angle**3


def _cross(v: Array) -> Array:
    """Return the 3x3 matrix of the cross product with `v` (3,)."""
    return np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])


def _symmetric(v: Array) -> Array:
    """Return the symmetric 3x3 matrix with the diagonal v[:3] and xy, xz, yz = v[3:]."""
    return np.array([[v[0], v[3], v[4]], [v[3], v[1], v[5]], [v[4], v[5], v[2]]])
