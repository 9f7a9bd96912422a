"""Reading and writing of transforms in all supported formats, detected from the file content.

Every format stores the map from fixed to moving points, which resamples the moving image.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from torch import Tensor

from zoo.errors import UserError
from zoo.geometry import Grid, Transform
from zoo.io.dicom.location import is_dicom_file
from zoo.io.files import AnyPath, existing_file, first_bytes
from zoo.io.itk.hdf5 import is_hdf5, read_itk_hdf5, write_itk_hdf5
from zoo.io.itk.nifti import read_itk_nifti, write_itk_nifti
from zoo.io.itk.tfm import is_mat, is_tfm, read_mat, read_tfm, write_mat, write_tfm
from zoo.io.learn2reg import is_npz, read_learn2reg, write_learn2reg
from zoo.io.nifti import is_nifti, open_nifti
from zoo.io.transforms.lta import is_lta, read_lta, write_lta
from zoo.io.transforms.matrices import is_text_matrix, read_matrix, write_matrix
from zoo.io.transforms.x5 import is_x5, read_x5, write_x5

TransformFormat = Literal[
    "itk-nifti",
    "itk-hdf5",
    "itk-tfm",
    "itk-mat",
    "learn2reg",
    "dicom",
    "fsl",
    "world",
    "lta",
    "x5",
]

TRANSFORM_SUFFIXES: dict[TransformFormat, tuple[str, ...]] = {
    "itk-nifti": (".nii.gz", ".nii"),
    "itk-hdf5": (".h5", ".hdf5"),
    "itk-tfm": (".tfm", ".txt"),
    "itk-mat": (".mat",),
    "learn2reg": (".npz", ".nii.gz", ".nii"),
    "dicom": (".dcm",),
    "fsl": (".mat", ".txt"),
    "world": (".mat", ".txt"),
    "lta": (".lta",),
    "x5": (".x5",),
}
"""The suffixes of each format; a suffix of several formats stands for the first of them."""

_FNIRT_INTENTS = range(2006, 2010)


def detect_format(path: AnyPath) -> TransformFormat:
    """Return the format of a transform file, according to its content.

    The two kinds of text matrices, "fsl" and "world", look the same; they are refused.
    """
    file = existing_file(path)
    if is_hdf5(file):
        return "x5" if is_x5(file) else "itk-hdf5"
    if is_tfm(file):
        return "itk-tfm"
    if is_mat(file):
        return "itk-mat"
    if is_npz(file):
        return "learn2reg"
    if is_dicom_file(file):
        from zoo.io.dicom.registration import is_registration

        if is_registration(file):
            return "dicom"
        raise UserError(f"{file} is DICOM, but not a registration; give a registration object")
    if is_nifti(file) or file.name.endswith((".nii", ".nii.gz")):
        nifti = open_nifti(file)
        shape = nifti.shape
        if int(nifti.header["intent_code"]) in _FNIRT_INTENTS:
            raise UserError(
                f"{file} is a warp of FSL (fnirt), which is not read; convert it with Connectome "
                f"Workbench: wb_command -convert-warpfield -from-fnirt {file} MOVING -to-itk OUT"
            )
        if len(shape) <= 3 or max(shape[3:]) == 1 or (len(shape) == 4 and shape[3] != 3):
            kind = "a volume" if len(shape) <= 3 else "an image"
            raise UserError(
                f"{file} is {kind} of shape {shape}, not a transform; give a displacement field "
                "(X, Y, Z, 1, 3), or use this file as an image"
            )
        return "learn2reg" if len(shape) == 4 and shape[3] == 3 else "itk-nifti"
    if is_text_matrix(file):
        raise UserError(
            f"{file} is a text matrix, whose coordinates it does not name; write fsl:{file} if "
            f"FSL (flirt) wrote it, or world:{file} if greedy, c3d or NiftyReg wrote it in RAS mm, "
            "and convert it to .tfm with regzoo convert where a plain file name is needed"
        )
    if is_lta(file):
        return "lta"
    raise UserError(
        f"{file} is not a known transform (it begins with {first_bytes(file, 12)!r}); allowed are "
        f"{', '.join(get_args(TransformFormat))}"
    )


def read_transform(
    path: AnyPath,
    fixed: Grid | None = None,
    moving: Grid | None = None,
    format: TransformFormat | None = None,
) -> Transform:
    """Read a transform, by default in the format of its content.

    A Learn2Reg field and an FSL matrix need the grids of their two images. "fsl" and "world" must
    be named, because these files look the same.
    """
    format = format or detect_format(path)
    if format == "fsl" or format == "world":
        return read_matrix(path, format, fixed, moving)
    if format == "dicom":
        from zoo.io.dicom.registration import read_registration

        return read_registration(path)
    readers = {
        "itk-hdf5": read_itk_hdf5,
        "itk-tfm": read_tfm,
        "itk-mat": read_mat,
        "itk-nifti": read_itk_nifti,
        "lta": read_lta,
        "x5": read_x5,
    }
    if format in readers:
        return readers[format](path)
    if fixed is None or moving is None:
        raise UserError(
            f"{path} is a Learn2Reg field, whose voxels have no world coordinates; "
            "give its fixed and its moving image as well"
        )
    return read_learn2reg(path, fixed, moving)


def read_affine(path: AnyPath) -> Tensor:
    """Read a purely affine transform: 4x4 float64, RAS+ mm, fixed -> moving."""
    if detect_format(path) == "learn2reg" or (transform := read_transform(path)).field is not None:
        raise UserError(
            f"{path} holds a deformation; only an affine transform is allowed here, such as "
            "`regzoo align` writes (.tfm, .mat or .h5)"
        )
    return transform.affine


def write_transform(
    path: AnyPath,
    transform: Transform,
    grid: Grid | None,
    format: TransformFormat | None = None,
    *,
    moving: Grid | None = None,
    series: tuple[AnyPath, AnyPath] | None = None,
) -> None:
    """Write a transform in `format`, by default the format of the suffix of `path`.

    `grid` is the grid of the fixed image. itk-nifti, learn2reg and x5 store the whole transform as
    one field, itk-hdf5 stores affine and field separately; itk-tfm, itk-mat, fsl, world and lta
    store an affine only, as x5 does if there is no field. learn2reg, fsl and lta also need the grid
    of the moving image, and dicom needs the fixed and the moving `series`.
    """
    format = _format_for(path, format)
    if format == "itk-hdf5":
        return write_itk_hdf5(path, transform, grid)
    if format == "itk-tfm":
        return write_tfm(path, transform)
    if format == "itk-mat":
        return write_mat(path, transform)
    if format == "dicom":
        from zoo.io.dicom.registration import write_registration

        if series is None:
            raise UserError(
                f"cannot write the DICOM registration {path} without the series to which it "
                "refers; give the fixed and the moving image as DICOM series"
            )
        return write_registration(path, transform, *series)
    if format == "fsl" or format == "world":
        return write_matrix(path, transform, format, grid, moving)
    if format == "lta":
        return write_lta(path, transform, grid, moving)
    if format == "x5":
        return write_x5(path, transform, grid)
    grid = grid or transform.grid
    if grid is None:
        raise UserError(
            f"cannot write an affine as the field {path} without the fixed image; give that image"
        )
    if format == "itk-nifti":
        return write_itk_nifti(path, transform, grid)
    if moving is None:
        raise UserError(
            f"cannot write the Learn2Reg field {path} without the moving image; give that image"
        )
    return write_learn2reg(path, transform, grid, moving)


def _format_for(path: AnyPath, format: TransformFormat | None) -> TransformFormat:
    """Return the format to write; the suffix must fit it, since other programs rely on it."""
    name = Path(path).name
    if format is not None and format not in TRANSFORM_SUFFIXES:
        raise UserError(
            f"there is no format {format!r}; allowed are {', '.join(TRANSFORM_SUFFIXES)}"
        )
    for candidate, suffixes in TRANSFORM_SUFFIXES.items():
        if format in (None, candidate) and name.endswith(suffixes):
            return candidate
    allowed = (
        TRANSFORM_SUFFIXES[format]
        if format
        else sorted({s for some in TRANSFORM_SUFFIXES.values() for s in some})
    )
    raise UserError(
        f"cannot write a transform as {path}: the name must end in {' or '.join(allowed)}"
    )
