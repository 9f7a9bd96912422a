"""DICOM images: the header and the voxels of the series that a path means."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from zoo.geometry import Grid
from zoo.io.dicom.location import is_dicom
from zoo.io.dicom.pixels import read_pixels, voxel_type
from zoo.io.dicom.series import find_series
from zoo.io.dicom.stack import Stack, stack_slices
from zoo.io.files import AnyPath


@dataclass(frozen=True, eq=False)
class DicomHeader:
    """The grid, voxel type and files of a series, what its header declares, and warnings about it.

    `patient` is the patient's ID, to compare series with; it must not be written anywhere.
    """

    grid: Grid
    dtype: str
    modality: str
    body_part: str
    patient: str = field(repr=False)
    files: tuple[Path, ...]
    warnings: tuple[str, ...] = ()


def read_dicom_header(path: AnyPath, volume: int | None = None) -> DicomHeader:
    """Read the headers of the series that `path` means and check its slices."""
    return _header(stack_slices(find_series(path), volume))


def read_dicom(path: AnyPath, volume: int | None = None) -> tuple[np.ndarray, Grid]:
    """Return the voxels [X, Y, Z] of the series that `path` means, rescaled, and the grid."""
    stack = stack_slices(find_series(path), volume)
    return read_pixels(stack), stack.grid


def image_files(path: AnyPath) -> list[Path]:
    """Return the files that make up an image: those of a DICOM series, else the file itself."""
    if not is_dicom(path):
        return [Path(path)]
    return [file.path for file in find_series(path).files]


def _header(stack: Stack) -> DicomHeader:
    first = stack.series.first
    return DicomHeader(
        grid=stack.grid,
        dtype=voxel_type(stack.series).name,
        modality=first.modality,
        body_part=first.body_part,
        patient=first.patient,
        files=tuple(file.path for file in stack.series.files),
        warnings=stack.warnings,
    )
