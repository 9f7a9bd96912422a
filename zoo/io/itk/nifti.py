"""ITK displacement fields as NIfTI: (X, Y, Z, 1, 3), intent 1007, LPS mm, fixed -> moving."""

from __future__ import annotations

from pathlib import Path

import torch

from zoo.errors import UserError
from zoo.geometry import Grid, Transform
from zoo.io.files import AnyPath
from zoo.io.lps import flip_field
from zoo.io.nifti import VECTOR_INTENT, nifti_grid, open_nifti, read_nifti_array, write_nifti
from zoo.io.volume import check_finite


def read_itk_nifti(path: AnyPath) -> Transform:
    """Read a displacement field that ITK, ANTs or the zoo wrote."""
    file = open_nifti(path)
    intent = int(file.header["intent_code"])
    if len(file.shape) != 5 or file.shape[3:] != (1, 3):
        raise UserError(
            f"{path} has the shape {file.shape}; a displacement field is (X, Y, Z, 1, 3), "
            "with three components in LPS mm"
        )
    if intent != VECTOR_INTENT:
        raise UserError(
            f"{path} has the intent code {intent}, with which programs read its components "
            f"differently; only {VECTOR_INTENT} (vector) is allowed: if the components are in LPS "
            "mm, set it with nibabel: image.header.set_intent('vector')"
        )
    if file.dtype.kind != "f":
        raise UserError(
            f"{path} is of type {file.dtype.name}; save the field as float32 or float64, in mm"
        )
    grid = nifti_grid(file)
    field = torch.from_numpy(read_nifti_array(file))[:, :, :, 0].movedim(-1, 0).float()
    check_finite(Path(path), field)
    return Transform(torch.eye(4), flip_field(field).contiguous(), grid)


def write_itk_nifti(path: AnyPath, transform: Transform, grid: Grid) -> None:
    """Write the whole transform, affine included, as one field on `grid`, the fixed image's."""
    field = transform.dense_on(grid).field
    assert field is not None
    vectors = flip_field(field.detach().cpu()).movedim(0, -1)[:, :, :, None]
    write_nifti(path, vectors.numpy(), grid, intent=VECTOR_INTENT)
