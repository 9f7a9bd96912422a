"""MetaImage (.mha, .mhd) and NRRD volumes, through SimpleITK from the extra `regzoo[itk]`."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import UserError
from zoo.geometry import Grid
from zoo.io.atomic import atomic_path
from zoo.io.files import AnyPath, damaged_file_error, existing_file, first_bytes
from zoo.io.itk.header_text import StoredVolume, read_voxels, require_volume
from zoo.io.itk.metaimage_header import check_metaimage
from zoo.io.itk.nrrd_header import check_nrrd
from zoo.io.lps import grid_from_itk, grid_to_itk

WRITTEN = (".mha", ".nrrd")

_FIRST_WORDS = (b"NRRD", b"ObjectType", b"NDims")
_TYPES = {
    "8-bit unsigned integer": "uint8",
    "8-bit signed integer": "int8",
    "16-bit unsigned integer": "uint16",
    "16-bit signed integer": "int16",
    "32-bit unsigned integer": "uint32",
    "32-bit signed integer": "int32",
    "64-bit signed integer": "int64",
    "32-bit float": "float32",
    "64-bit float": "float64",
}


def is_itk_image(path: Path) -> bool:
    """Return whether the file can be read and begins like a MetaImage or NRRD header."""
    try:
        with path.open("rb") as stream:
            return stream.read(16).startswith(_FIRST_WORDS)
    except OSError:
        return False


def read_itk_header(path: AnyPath) -> tuple[Grid, str]:
    """Return the grid and the stored type without decoding the voxels."""
    stored, grid = _open(existing_file(path))
    return grid, stored.dtype.name


def read_itk_image(path: AnyPath) -> tuple[np.ndarray, Grid]:
    """Return the data [X, Y, Z], C-contiguous and of a type that torch supports, and the grid."""
    file = existing_file(path)
    stored, grid = _open(file)
    target = {"uint16": "int32", "uint32": "int64"}.get(stored.dtype.name, stored.dtype.name)
    return np.array(read_voxels(file, stored), dtype=target, order="C"), grid


def write_itk_image(path: AnyPath, data: np.ndarray, grid: Grid) -> None:
    """Write `data` [X, Y, Z] on `grid` as .mha or .nrrd, compressed."""
    sitk = _sitk(Path(path))
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.transpose(2, 1, 0)))
    origin, spacing, direction = grid_to_itk(grid)
    image.SetOrigin(origin.tolist())
    image.SetSpacing(spacing.tolist())
    image.SetDirection(direction.ravel().tolist())
    with atomic_path(path) as temporary:
        try:
            sitk.WriteImage(image, str(temporary), True)
        except RuntimeError as error:
            raise UserError(
                f"cannot write {path} ({_last_line(error)}); is the disk full? write elsewhere"
            ) from error


def _open(path: Path) -> tuple[StoredVolume, Grid]:
    """Return what the header describes, after all checks, and the grid as SimpleITK reads it.

    What SimpleITK understood is compared with the header.
    """
    is_nrrd = first_bytes(path, 4) == b"NRRD"
    stored = check_nrrd(path) if is_nrrd else check_metaimage(path)
    sitk = _sitk(path)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NrrdImageIO" if is_nrrd else "MetaImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise damaged_file_error(path, _last_line(error)) from error
    size = tuple(reader.GetSize())
    require_volume(path, len(size), reader.GetNumberOfComponents())
    kind = sitk.GetPixelIDValueAsString(reader.GetPixelIDValue())
    if kind not in _TYPES:
        raise UserError(
            f"{path} has voxels of {kind}; save it as one of {', '.join(_TYPES.values())}"
        )
    if size != stored.shape or _TYPES[kind] != stored.dtype.name:
        found = f"{size} of {_TYPES[kind]} or {stored.shape} of {stored.dtype.name}"
        raise damaged_file_error(path, f"its header is ambiguous: {found}")
    origin, spacing = np.array(reader.GetOrigin()), np.array(reader.GetSpacing())
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        raise UserError(f"{path} has the spacing {spacing.tolist()}; set each one above 0 mm")
    try:
        return stored, grid_from_itk(size, origin, spacing, np.array(reader.GetDirection()))
    except ValueError as error:  # axes that are parallel, or not finite
        raise UserError(f"{path}: {error}; correct its direction", code="header") from error


def _sitk(path: Path) -> Any:
    """Import SimpleITK, or name the extra that installs it."""
    try:
        return importlib.import_module("SimpleITK")
    except ImportError as error:
        raise UserError(
            f"{path}: .mha, .mhd and .nrrd need SimpleITK; install it with "
            "pip install 'regzoo[itk]', or convert the file to .nii.gz"
        ) from error


def _last_line(error: Exception) -> str:
    """Return the last line of an error message of ITK, which states the reason."""
    return str(error).strip().splitlines()[-1].strip()
