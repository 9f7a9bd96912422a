"""Checks that several transform formats share."""

from __future__ import annotations

from torch import Tensor

from zoo.errors import UserError
from zoo.geometry import Transform
from zoo.io.files import AnyPath


def require_affine(path: AnyPath, transform: Transform) -> Tensor:
    """Return the matrix of a transform, 4x4, RAS mm; a deformation is refused."""
    if transform.field is not None:
        raise UserError(
            f"cannot write {path}: this format stores an affine only, and this transform has a "
            "displacement field; write .h5, .x5 or .nii.gz"
        )
    return transform.affine
