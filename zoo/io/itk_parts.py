"""The parts that ITK's transform files are made of, and the zoo's transform they add up to.

A composite lists its parts so that the last one is applied first: T(x) = part 1(... part n(x)).
Every number here is ITK's, in LPS+ mm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from zoo.errors import UserError
from zoo.geometry import Grid, Transform
from zoo.io.lps import flip_field, flip_map, grid_from_itk, grid_to_itk

COMPOSITE = "CompositeTransform"
AFFINE = "AffineTransform"
FIELD = "DisplacementFieldTransform"


@dataclass(frozen=True, eq=False)
class Part:
    """One ITK transform: its class without precision and dimensions, and its two vectors."""

    kind: str
    parameters: np.ndarray
    fixed: np.ndarray


def kind_of(path: Path, name: str) -> str:
    """Return the class of a name such as "AffineTransform_double_3_3"; only 3-D is allowed."""
    kind, _, rest = name.strip().partition("_")
    if rest not in ("double_3_3", "float_3_3"):
        raise UserError(
            f"{path} holds the transform {name.strip()!r}; only three-dimensional ones "
            "(..._double_3_3 or ..._float_3_3) are allowed"
        )
    return kind


def transform_of(path: Path, parts: list[Part]) -> Transform:
    """Add the parts up to one transform; among them at most one displacement field.

    ITK applies the last one first.
    """
    fields = [k for k, part in enumerate(parts) if part.kind == FIELD]
    if not parts or len(fields) > 1:
        raise UserError(
            f"{path} holds {len(parts)} transforms, {len(fields)} of them displacement fields; "
            "allowed are affine parts and at most one field: write it as one field first"
        )
    if not fields:
        return Transform(_product(path, parts))
    after, before = (_product(path, some) for some in (parts[: fields[0]], parts[fields[0] + 1 :]))
    field, grid = _field(path, parts[fields[0]])
    whole = Transform(after, field, grid)
    if torch.equal(before, torch.eye(4, dtype=torch.float64)):
        return whole
    return Transform(before).then(whole)


def affine_part(affine: Tensor) -> Part:
    """Return the ITK part of a 4x4 map of RAS+ mm; its centre is the origin."""
    matrix = flip_map(affine).numpy()
    return Part(AFFINE, np.concatenate([matrix[:3, :3].ravel(), matrix[:3, 3]]), np.zeros(3))


def field_part(field: Tensor, grid: Grid) -> Part:
    """Return the ITK part of a displacement [3, X, Y, Z], RAS+ mm, on `grid`."""
    vectors = flip_field(field.detach().cpu().float()).permute(3, 2, 1, 0).contiguous()
    fixed = np.concatenate([np.array(grid.shape, float), *map(np.ravel, grid_to_itk(grid))])
    return Part(FIELD, vectors.numpy().ravel(), fixed)


def _product(path: Path, parts: list[Part]) -> Tensor:
    """Return the 4x4 map of RAS+ mm of affine parts, the last one applied first."""
    total = torch.eye(4, dtype=torch.float64)
    for part in parts:
        total = total @ flip_map(torch.from_numpy(_matrix(path, part)))
    if abs(float(torch.linalg.det(total[:3, :3]))) < 1e-12:
        raise UserError(
            f"{path} holds an affine that cannot be inverted ({total[:3].tolist()}); make it again"
        )
    return total


def _matrix(path: Path, part: Part) -> np.ndarray:
    """Return the 4x4 map of LPS+ mm of one affine part."""
    if part.kind not in _KINDS:
        raise UserError(
            f"{path} holds a {part.kind}; allowed are {', '.join(_KINDS)} and {FIELD}: "
            "write it as a displacement field first"
        )
    count, linear_of = _KINDS[part.kind]
    values, fixed = part.parameters, part.fixed
    if values.size != count:
        raise UserError(
            f"{path}: {part.kind} has {values.size} parameters; it takes {count}: make it again"
        )
    if not (np.isfinite(values).all() and np.isfinite(fixed).all()):
        raise UserError(f"{path}: {part.kind} has NaN or Inf among its parameters; make it again")
    matrix = np.eye(4)
    if part.kind == "IdentityTransform":
        return matrix
    if part.kind == "TranslationTransform":
        matrix[:3, 3] = values
        return matrix
    centre, shift = (fixed[:3], values[-3:])
    if part.kind == "CenteredAffineTransform":
        centre = values[9:12]
    elif part.kind == "Similarity3DTransform":
        shift = values[3:6]
    if centre.size != 3:
        raise UserError(
            f"{path}: {part.kind} has {fixed.size} fixed parameters; it takes 3: make it again"
        )
    matrix[:3, :3] = linear_of(values, fixed)
    matrix[:3, 3] = shift + centre - matrix[:3, :3] @ centre
    return matrix


def _field(path: Path, part: Part) -> tuple[Tensor, Grid]:
    """Return a field part as [3, X, Y, Z], RAS+ mm, and its grid."""
    if part.fixed.size != 18 or not np.isfinite(part.fixed).all():
        raise UserError(
            f"{path}: the field's grid takes 18 finite numbers, not {part.fixed.size}: "
            "make it again"
        )
    size, origin, spacing, direction = np.split(part.fixed, [3, 6, 9])
    x, y, z = (round(n) for n in size.tolist())
    if part.parameters.size != 3 * x * y * z:
        raise UserError(
            f"{path}: a field of {x}x{y}x{z} voxels takes {3 * x * y * z} numbers, "
            f"not {part.parameters.size}; make it again"
        )
    if min(x, y, z) < 1 or spacing.min() <= 0 or abs(np.linalg.det(direction.reshape(3, 3))) < 1e-6:
        raise UserError(
            f"{path}: the field's grid is broken (size {size.tolist()}, spacing "
            f"{spacing.tolist()}, direction {direction.tolist()}); make it again"
        )
    vectors = part.parameters.astype(np.float32).reshape(z, y, x, 3)
    if not np.isfinite(vectors).all():
        raise UserError(f"{path}: the field has NaN or Inf; make it again")
    field = torch.from_numpy(vectors).permute(3, 2, 1, 0)
    return flip_field(field).contiguous(), grid_from_itk((x, y, z), origin, spacing, direction)


def _euler(values: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Return the rotation of angles about x, y and z: Rz Rx Ry, or Rz Ry Rx if a flag says so."""
    c, s = np.cos(values[:3]), np.sin(values[:3])
    rx = np.array([[1, 0, 0], [0, c[0], -s[0]], [0, s[0], c[0]]])
    ry = np.array([[c[1], 0, s[1]], [0, 1, 0], [-s[1], 0, c[1]]])
    rz = np.array([[c[2], -s[2], 0], [s[2], c[2], 0], [0, 0, 1]])
    zyx = fixed.size > 3 and fixed[3] != 0
    rotation: np.ndarray = rz @ ry @ rx if zyx else rz @ rx @ ry
    return rotation


def _versor(values: np.ndarray, _fixed: np.ndarray) -> np.ndarray:
    """Return the rotation of a unit quaternion given by its vector part."""
    vector = values[:3]
    w = np.sqrt(max(0.0, 1 - float(vector @ vector)))
    x, y, z = vector
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation: np.ndarray = np.eye(3) + 2 * w * cross + 2 * cross @ cross
    return rotation


def _similarity(values: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = values[6] * _versor(values, fixed)
    return scaled


def _rows(values: np.ndarray, _fixed: np.ndarray) -> np.ndarray:
    return values[:9].reshape(3, 3)


_KINDS: dict[str, tuple[int, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    AFFINE: (12, _rows),
    "MatrixOffsetTransformBase": (12, _rows),
    "CenteredAffineTransform": (15, _rows),
    "Euler3DTransform": (6, _euler),
    "VersorRigid3DTransform": (6, _versor),
    "Similarity3DTransform": (7, _similarity),
    "TranslationTransform": (3, _rows),
    "IdentityTransform": (0, _rows),
}
"""Number of parameters, and the 3x3 matrix they and the fixed parameters make."""
