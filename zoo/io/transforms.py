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

TransformFormat = Literal["itk-nifti", "itk-hdf5", "itk-tfm", "itk-mat", "learn2reg", "dicom"]

TRANSFORM_SUFFIXES: dict[TransformFormat, tuple[str, ...]] = {
    "itk-nifti": (".nii.gz", ".nii"),
    "itk-hdf5": (".h5", ".hdf5"),
    "itk-tfm": (".tfm", ".txt"),
    "itk-mat": (".mat",),
    "learn2reg": (".npz", ".nii.gz", ".nii"),
    "dicom": (".dcm",),
}
"""The suffixes of each format; a suffix of several formats stands for the first of them."""


def detect_format(path: AnyPath) -> TransformFormat:
    """Return the format of a transform file, according to its content."""
    file = existing_file(path)
    if is_hdf5(file):
        return "itk-hdf5"
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
        shape = open_nifti(file).shape
        if len(shape) <= 3 or max(shape[3:]) == 1 or (len(shape) == 4 and shape[3] != 3):
            kind = "a volume" if len(shape) <= 3 else "an image"
            raise UserError(
                f"{file} is {kind} of shape {shape}, not a transform; give a displacement field "
                "(X, Y, Z, 1, 3), or use this file as an image"
            )
        return "learn2reg" if len(shape) == 4 and shape[3] == 3 else "itk-nifti"
    if _is_text_matrix(file):
        raise UserError(
            f"{file} is a text matrix as FSL writes, which cannot be read without its images; "
            "convert it: c3d_affine_tool -ref FIXED -src MOVING FILE -fsl2ras -oitk OUT.txt"
        )
    raise UserError(
        f"{file} is not a known transform (it begins with {first_bytes(file, 12)!r}); allowed are "
        f"{', '.join(get_args(TransformFormat))}"
    )


def _is_text_matrix(file: Path) -> bool:
    """Return whether a file consists of four rows of four numbers."""
    try:
        lines = first_bytes(file, 1000).decode("ascii").splitlines()
        rows = [[float(word) for word in line.split()] for line in lines if line.strip()]
    except ValueError:
        return False
    return [len(row) for row in rows] == [4] * 4


def read_transform(
    path: AnyPath, fixed: Grid | None = None, moving: Grid | None = None
) -> Transform:
    """Read a transform in any format; a Learn2Reg field needs the grids of its two images."""
    format = detect_format(path)
    if format == "itk-hdf5":
        return read_itk_hdf5(path)
    if format == "itk-tfm":
        return read_tfm(path)
    if format == "itk-mat":
        return read_mat(path)
    if format == "itk-nifti":
        return read_itk_nifti(path)
    if format == "dicom":
        from zoo.io.dicom.registration import read_registration

        return read_registration(path)
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

    `grid` is the grid of the fixed image. itk-nifti and learn2reg store the whole transform as one
    field, itk-hdf5 stores affine and field separately, itk-tfm and itk-mat store an affine only.
    learn2reg also needs the grid of the moving image, and dicom the fixed and the moving `series`.
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
