"""Transforms from and to any format; what a file holds is told from its content, not its name.

All of them hold the map from fixed to moving points, the one that resamples the moving image.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from torch import Tensor

from zoo.errors import UserError
from zoo.geometry import Grid, Transform
from zoo.io.files import AnyPath, existing_file, head
from zoo.io.itk_hdf5 import is_hdf5, read_itk_hdf5, write_itk_hdf5
from zoo.io.itk_nifti import read_itk_nifti, write_itk_nifti
from zoo.io.itk_tfm import is_mat, is_tfm, read_mat, read_tfm, write_mat, write_tfm
from zoo.io.learn2reg import is_npz, read_learn2reg, write_learn2reg
from zoo.io.nifti import is_nifti, open_nifti

Format = Literal["itk-nifti", "itk-hdf5", "itk-tfm", "itk-mat", "learn2reg"]

SUFFIXES: dict[Format, tuple[str, ...]] = {
    "itk-nifti": (".nii.gz", ".nii"),
    "itk-hdf5": (".h5", ".hdf5"),
    "itk-tfm": (".tfm", ".txt"),
    "itk-mat": (".mat",),
    "learn2reg": (".npz", ".nii.gz", ".nii"),
}
"""How the files of each format are named; of several formats the first is meant by a suffix."""


def detect_format(path: AnyPath) -> Format:
    """Return the format of a transform file, by its content."""
    file = existing_file(path)
    if is_hdf5(file):
        return "itk-hdf5"
    if is_tfm(file):
        return "itk-tfm"
    if is_mat(file):
        return "itk-mat"
    if is_npz(file):
        return "learn2reg"
    if is_nifti(file) or file.name.endswith((".nii", ".nii.gz")):
        shape = open_nifti(file).shape
        if len(shape) <= 3 or max(shape[3:]) == 1:
            raise UserError(
                f"{file} is a volume of shape {shape}, not a transform; give a displacement field "
                "(X, Y, Z, 1, 3), or the file where a volume is asked for"
            )
        return "learn2reg" if len(shape) == 4 and shape[3] == 3 else "itk-nifti"
    if _is_text_matrix(file):
        raise UserError(
            f"{file} is a matrix as text, as FSL writes, which says nothing of its images; make it "
            "ITK's: c3d_affine_tool -ref FIXED -src MOVING FILE -fsl2ras -oitk OUT.txt"
        )
    raise UserError(
        f"{file} is no transform that is known (it begins with {head(file, 12)!r}); allowed are "
        f"{', '.join(get_args(Format))}"
    )


def _is_text_matrix(file: Path) -> bool:
    """Say whether a file holds four rows of four numbers and nothing else."""
    try:
        lines = head(file, 1000).decode("ascii").splitlines()
        rows = [[float(word) for word in line.split()] for line in lines if line.strip()]
    except ValueError:
        return False
    return [len(row) for row in rows] == [4] * 4


def read_transform(
    path: AnyPath, fixed: Grid | None = None, moving: Grid | None = None
) -> Transform:
    """Read a transform; a Learn2Reg field needs the grids of its two images."""
    found = detect_format(path)
    if found == "itk-hdf5":
        return read_itk_hdf5(path)
    if found == "itk-tfm":
        return read_tfm(path)
    if found == "itk-mat":
        return read_mat(path)
    if found == "itk-nifti":
        return read_itk_nifti(path)
    if fixed is None or moving is None:
        raise UserError(
            f"{path} is a Learn2Reg field, in voxels without a place in the world; "
            "give its fixed and its moving image as well"
        )
    return read_learn2reg(path, fixed, moving)


def read_affine(path: AnyPath) -> Tensor:
    """Read a transform that is affine alone: 4x4 float64, RAS+ mm, fixed -> moving."""
    if detect_format(path) == "learn2reg" or (found := read_transform(path)).field is not None:
        raise UserError(
            f"{path} holds a deformation; allowed here is an affine transform alone, such as "
            "`regzoo align` writes (.tfm, .mat or .h5)"
        )
    return found.affine


def write_transform(
    path: AnyPath,
    transform: Transform,
    grid: Grid | None,
    format: Format | None = None,
    *,
    moving: Grid | None = None,
) -> None:
    """Write a transform on `grid`, the fixed image's, in `format` or the one its suffix means.

    itk-nifti and learn2reg write the whole map as one field, itk-hdf5 affine and field apart;
    itk-tfm and itk-mat hold an affine only. learn2reg needs the moving image's grid as well.
    """
    found = _format_for(path, format)
    if found == "itk-hdf5":
        return write_itk_hdf5(path, transform, grid)
    if found == "itk-tfm":
        return write_tfm(path, transform)
    if found == "itk-mat":
        return write_mat(path, transform)
    grid = grid or transform.grid
    if grid is None:
        raise UserError(f"cannot write an affine as the field {path} without the fixed image")
    if found == "itk-nifti":
        return write_itk_nifti(path, transform, grid)
    if moving is None:
        raise UserError(f"cannot write the Learn2Reg field {path} without the moving image")
    return write_learn2reg(path, transform, grid, moving)


def _format_for(path: AnyPath, format: Format | None) -> Format:
    """Return the format to write, and check that the name fits it: other programs go by it."""
    name = Path(path).name
    if format is not None and format not in SUFFIXES:
        raise UserError(f"there is no format {format!r}; allowed are {', '.join(SUFFIXES)}")
    for candidate, suffixes in SUFFIXES.items():
        if format in (None, candidate) and name.endswith(suffixes):
            return candidate
    allowed = (
        SUFFIXES[format] if format else sorted({s for some in SUFFIXES.values() for s in some})
    )
    raise UserError(
        f"cannot write a transform as {path}: the name must end in {', '.join(allowed)}"
    )
