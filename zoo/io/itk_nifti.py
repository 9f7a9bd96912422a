"""ITK's displacement field as NIfTI: (X, Y, Z, 1, 3), intent 1007, LPS mm, fixed -> moving."""

from __future__ import annotations

from pathlib import Path

import torch

from zoo.errors import UserError
from zoo.geometry import Grid, Transform
from zoo.io.files import AnyPath
from zoo.io.lps import flip_field
from zoo.io.nifti import VECTOR, nifti_array, nifti_grid, open_nifti, write_nifti
from zoo.io.volume import check_finite


def read_itk_nifti(path: AnyPath) -> Transform:
    """Read a field that ITK, ANTs or the zoo wrote."""
    file = open_nifti(path)
    intent = int(file.header["intent_code"])
    if len(file.shape) != 5 or file.shape[3:] != (1, 3):
        raise UserError(
            f"{path} has the shape {file.shape}; a displacement field is (X, Y, Z, 1, 3), "
            "with three components in LPS mm"
        )
    if intent != VECTOR:
        raise UserError(
            f"{path} has the intent code {intent}, and programs read its components differently; "
            f"{VECTOR} (vector) is allowed: set it if the components are LPS mm, with nibabel: "
            "image.header.set_intent('vector')"
        )
    if file.dtype.kind != "f":
        raise UserError(f"{path} holds {file.dtype.name}; a field holds float32 or float64, in mm")
    grid = nifti_grid(file)
    field = torch.from_numpy(nifti_array(file))[:, :, :, 0].movedim(-1, 0).float()
    check_finite(Path(path), field)
    return Transform(torch.eye(4), flip_field(field).contiguous(), grid)


def write_itk_nifti(path: AnyPath, transform: Transform, grid: Grid) -> None:
    """Write the whole map, affine included, as one field on `grid` (the fixed image's)."""
    field = transform.dense_on(grid).field
    assert field is not None
    vectors = flip_field(field.detach().cpu()).movedim(0, -1)[:, :, :, None]
    write_nifti(path, vectors.numpy(), grid, intent=VECTOR)
