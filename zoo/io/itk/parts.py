"""The parts of ITK transform files, and their combination to one transform of the zoo.

ITK applies the last part of a composite first: T(x) = part 1(... part n(x)). The numbers of a part
are in LPS+ mm.
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
from zoo.io.lps import flip_affine, flip_field, grid_from_itk, grid_to_itk

COMPOSITE = "CompositeTransform"
AFFINE = "AffineTransform"
FIELD = "DisplacementFieldTransform"
_ORTHOGONAL = 1e-2  # largest error of a direction that was stored with few digits


@dataclass(frozen=True, eq=False)
class Part:
    """One ITK transform: its class, such as "AffineTransform", and its two parameter vectors."""

    class_name: str
    parameters: np.ndarray
    fixed: np.ndarray


def parse_class_name(path: Path, name: str) -> str:
    """Return the class in a name such as "AffineTransform_double_3_3"; only 3-D is allowed."""
    parsed, _, rest = name.strip().partition("_")
    if rest not in ("double_3_3", "float_3_3"):
        raise UserError(
            f"{path} contains the transform {name.strip()[:80]!a}; only three-dimensional "
            "transforms (..._double_3_3 or ..._float_3_3) are allowed"
        )
    return parsed


def without_composite(path: Path, parts: list[Part]) -> list[Part]:
    """Return the parts of a file without the leading composite, which only several parts need."""
    if parts and parts[0].class_name == COMPOSITE:
        return parts[1:]
    if len(parts) > 1:
        raise UserError(
            f"{path} has {len(parts)} transforms but no composite; write them as one composite"
        )
    return parts


def combine_parts(path: Path, parts: list[Part]) -> Transform:
    """Compose parts, the last one applied first, to one transform.

    At most one part may be a displacement field.
    """
    fields = [k for k, part in enumerate(parts) if part.class_name == FIELD]
    if not parts or len(fields) > 1:
        raise UserError(
            f"{path} contains {len(parts)} transforms, {len(fields)} of them displacement fields; "
            "allowed are affine transforms and at most one field: combine them to one field first"
        )
    if not fields:
        return Transform(_affine_product(path, parts))
    k = fields[0]
    after, before = _affine_product(path, parts[:k]), _affine_product(path, parts[k + 1 :])
    transform = Transform(after, *_field_and_grid(path, parts[k]))
    if torch.equal(before, torch.eye(4, dtype=torch.float64)):
        return transform
    return Transform(before).then(transform)


def affine_part(affine: Tensor) -> Part:
    """Return the ITK part of an affine, 4x4 in RAS+ mm; its centre is the origin."""
    matrix = flip_affine(affine).numpy()
    return Part(AFFINE, np.concatenate([matrix[:3, :3].ravel(), matrix[:3, 3]]), np.zeros(3))


def field_part(field: Tensor, grid: Grid) -> Part:
    """Return the ITK part of a displacement field [3, X, Y, Z], RAS+ mm, on `grid`."""
    vectors = flip_field(field.detach().cpu().float()).permute(3, 2, 1, 0).contiguous()
    fixed = np.concatenate([np.array(grid.shape, float), *map(np.ravel, grid_to_itk(grid))])
    return Part(FIELD, vectors.numpy().ravel(), fixed)


def _affine_product(path: Path, parts: list[Part]) -> Tensor:
    """Return the product of affine parts, the last one applied first: 4x4, RAS+ mm."""
    total = torch.eye(4, dtype=torch.float64)
    for part in parts:
        total = total @ flip_affine(torch.from_numpy(_affine_matrix(path, part)))
    determinant = abs(float(torch.linalg.det(total[:3, :3])))
    if not (1e-12 <= determinant < np.inf and bool(torch.isfinite(total).all())):
        raise UserError(
            f"{path} contains an affine that cannot be inverted ({total[:3].tolist()}); correct it"
        )
    return total


def _affine_matrix(path: Path, part: Part) -> np.ndarray:
    """Return the affine of one part: 4x4, LPS+ mm."""
    if part.class_name not in _KINDS:
        raise UserError(
            f"{path} contains a {part.class_name[:80]}; allowed are {', '.join(_KINDS)} and "
            f"{FIELD}: convert it to a displacement field first"
        )
    count, linear_of = _KINDS[part.class_name]
    values, fixed = part.parameters, part.fixed
    if values.size != count:
        raise UserError(
            f"{path}: {part.class_name} has {values.size} parameters but needs {count}; "
            "write it again"
        )
    if not (np.isfinite(values).all() and np.isfinite(fixed).all()):
        raise UserError(
            f"{path}: {part.class_name} has NaN or Inf among its parameters; write it again"
        )
    if linear_of in (_versor, _similarity) and float(np.linalg.norm(values[:3])) > 1 + 1e-6:
        raise UserError(
            f"{path}: the rotation {values[:3].tolist()} of {part.class_name} is longer than 1; "
            "write it again"
        )
    matrix = np.eye(4)
    if part.class_name == "IdentityTransform":
        return matrix
    if part.class_name == "TranslationTransform":
        matrix[:3, 3] = values
        return matrix
    centre, shift = fixed[:3], values[-3:]
    if part.class_name == "CenteredAffineTransform":
        centre = values[9:12]
    elif part.class_name == "Similarity3DTransform":
        shift = values[3:6]
    if centre.size != 3:
        raise UserError(
            f"{path}: {part.class_name} has {fixed.size} fixed parameters but needs 3; "
            "write it again"
        )
    matrix[:3, :3] = linear_of(values, fixed)
    matrix[:3, 3] = shift + centre - matrix[:3, :3] @ centre
    return matrix


def _field_and_grid(path: Path, part: Part) -> tuple[Tensor, Grid]:
    """Return the displacement field of a part, [3, X, Y, Z] in RAS+ mm, and its grid."""
    if part.fixed.size != 18 or not np.isfinite(part.fixed).all():
        raise UserError(
            f"{path}: the grid of the field needs 18 finite numbers, and the file has "
            f"{part.fixed.size} numbers; write it again"
        )
    size, origin, spacing, direction = np.split(part.fixed, [3, 6, 9])
    x, y, z = (round(n) for n in size.tolist())
    if [x, y, z] != size.tolist() or min(x, y, z) < 1:
        raise UserError(
            f"{path}: the size of the field is {size.tolist()}; it must be three whole numbers "
            "above 0: write it again"
        )
    if part.parameters.size != 3 * x * y * z:
        raise UserError(
            f"{path}: a field of {x}x{y}x{z} voxels needs {3 * x * y * z} numbers, "
            f"not {part.parameters.size}; write it again"
        )
    if spacing.min() <= 0 or not _is_rotation(direction.reshape(3, 3)):
        raise UserError(
            f"{path}: the grid of the field is invalid (size {size.tolist()}, spacing "
            f"{spacing.tolist()}, direction {direction.tolist()}); write it again"
        )
    with np.errstate(over="ignore"):  # numbers beyond float32 become Inf, which is refused
        vectors = part.parameters.astype(np.float32).reshape(z, y, x, 3)
    if not np.isfinite(vectors).all():
        raise UserError(f"{path}: the field has NaN or Inf; write it again")
    field = torch.from_numpy(vectors).permute(3, 2, 1, 0)
    try:
        grid = grid_from_itk((x, y, z), origin, spacing, direction)
    except ValueError as error:
        raise UserError(f"{path}: {error}; write it again") from error
    return flip_field(field).contiguous(), grid


def _is_rotation(direction: np.ndarray) -> bool:
    """Return whether the axes of a 3x3 matrix are at right angles and of length one."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.abs(direction.T @ direction - np.eye(3)).max() < _ORTHOGONAL)


def _euler(values: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Return the rotation by angles about x, y and z: Rz Rx Ry, or Rz Ry Rx if `fixed` says so."""
    c, s = np.cos(values[:3]), np.sin(values[:3])
    rx = np.array([[1, 0, 0], [0, c[0], -s[0]], [0, s[0], c[0]]])
    ry = np.array([[c[1], 0, s[1]], [0, 1, 0], [-s[1], 0, c[1]]])
    rz = np.array([[c[2], -s[2], 0], [s[2], c[2], 0], [0, 0, 1]])
    zyx = fixed.size > 3 and fixed[3] != 0
    rotation: np.ndarray = rz @ ry @ rx if zyx else rz @ rx @ ry
    return rotation


def _versor(values: np.ndarray, _fixed: np.ndarray) -> np.ndarray:
    """Return the rotation of the unit quaternion with the given vector part."""
    vector = values[:3]
    w = np.sqrt(max(0.0, 1 - float(vector @ vector)))
    x, y, z = vector
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation: np.ndarray = np.eye(3) + 2 * w * cross + 2 * cross @ cross
    return rotation


def _similarity(values: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = values[6] * _versor(values, fixed)
    return scaled


def _stored_matrix(values: np.ndarray, _fixed: np.ndarray) -> np.ndarray:
    return values[:9].reshape(3, 3)


_KINDS: dict[str, tuple[int, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    AFFINE: (12, _stored_matrix),
    "MatrixOffsetTransformBase": (12, _stored_matrix),
    "CenteredAffineTransform": (15, _stored_matrix),
    "Euler3DTransform": (6, _euler),
    "VersorRigid3DTransform": (6, _versor),
    "Similarity3DTransform": (7, _similarity),
    "TranslationTransform": (3, _stored_matrix),
    "IdentityTransform": (0, _stored_matrix),
}
"""By class: the number of parameters, and the function that returns their 3x3 matrix.

The function takes the parameters and the fixed parameters.
"""
