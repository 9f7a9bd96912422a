"""The limits of all files that are read; docs/reference/limits.md lists them per kind of file.

A file can be small and still describe more data than fits into memory, or take minutes to parse.
Every reader therefore checks what a file describes before it allocates or parses.
"""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import Any

from zoo.errors import UserError

MAX_JSON_BYTES = 16 << 20
"""Largest JSON file; for comparison, ten thousand pairs take about 3 MiB."""

MAX_RESULTS_BYTES = 128 << 20
"""Largest JSON file of results; the figures of ten thousand pairs with 35 labels take 80 MiB."""

MAX_YAML_BYTES = 64 << 10
"""Largest YAML text: a front matter, a config or the value of a setting."""

MAX_DEPTH = 64
"""Largest number of lists and mappings inside one another, in JSON and YAML."""

MAX_CSV_BYTES = 32 << 20
"""Largest table."""

MAX_CSV_ROWS = 500_000
MAX_CSV_COLUMNS = 1000
MAX_CSV_CELL = 4096
"""Largest number of characters in a cell; a cell holds a number or the name of a file."""

MAX_COORDINATE = 1e9
"""Largest coordinate of a point, mm; it only excludes damaged numbers."""

MAX_MESH_BYTES = 512 << 20
"""Largest VTK file; a tractogram of a million short streamlines has about 300 MiB."""

MAX_POINTS = 20_000_000
"""Largest number of points of a VTK file."""

MAX_WEIGHTS_HEADER_BYTES = 8 << 20
"""Largest header of a safetensors file; those of the models have about 50 KiB."""

MAX_TENSORS = 20_000
MAX_TENSOR_AXES = 8
"""Largest number of tensors in a safetensors file, and of axes of each."""

MAX_VOXELS = 1 << 30
"""Largest number of voxels of a volume or a field: 1024 x 1024 x 1024."""

MAX_NIFTI_OFFSET = 64 << 20
"""Largest number of bytes before the voxels of a NIfTI file: the header and its extensions."""

MAX_EXTENSIONS = 1000
"""Largest number of header extensions of a NIfTI file."""

MAX_TRAILING_BYTES = 16 << 20
"""Largest number of bytes after the voxels of a NIfTI file that is compressed with gzip."""

MAX_DEFLATE_RATIO = 1032
"""Decompression of gzip, zip and HDF5 cannot enlarge data by more than this."""

MAX_TEXT_HEADER_BYTES = 1 << 20
MAX_TEXT_HEADER_LINE = 4096
"""Largest header of a MetaImage or NRRD file, and of one line in it, bytes."""

MAX_TEXT_HEADER_LINES = 10_000
"""Largest number of lines in such a header; ITK takes time that grows with its square."""

MAX_TEXT_HEADER_NUMBER = 1e9
"""Largest spacing, direction or coordinate in such a header, mm."""

MAX_TRANSFORM_PARTS = 64
"""Largest number of transforms in one ITK file."""

MAX_TEXT_TRANSFORM_BYTES = 32 << 20
MAX_MAT_BYTES = 1 << 20
"""Largest text and MATLAB transforms; large displacement fields belong into NIfTI or HDF5."""

MAX_DICOM_FILES = 20_000
MAX_DICOM_FRAMES = 20_000
"""Largest number of files in a DICOM folder with its subfolders, and of frames in one file."""

MAX_DICOM_FILE_BYTES = 4 << 30
"""Largest DICOM file."""
MAX_TEXT_MATRIX_BYTES = 4096
"""Largest text of a matrix of four rows and four columns, as FSL writes it."""

MAX_LTA_BYTES = 64 << 10
"""Largest .lta of FreeSurfer; a file of one transform has about 2 KiB."""

MAX_ZIP_DIRECTORY_BYTES = 1 << 20
"""Largest list of members of an .npz file."""


_MAX_INTEGER = 1 << 64


def check_file_size(path: Path, limit: int, advice: str) -> None:
    """Refuse a file of more than `limit` bytes; `advice` says what to do instead."""
    size = path.stat().st_size
    if size > limit:
        raise UserError(f"{path} has {size} bytes; at most {limit} are allowed: {advice}")


def check_voxel_count(path: Path, shape: tuple[int, ...], voxels: int) -> None:
    """Refuse an array that describes more voxels than the limit."""
    if voxels > MAX_VOXELS:
        raise UserError(
            f"{path} has the shape {shape}; at most {MAX_VOXELS} voxels are allowed: resample or "
            "crop it",
            code="too-large",
        )


def check_plain_value(value: Any) -> None:
    """Raise ValueError unless `value` consists of mappings with text keys, lists and scalars.

    Scalars are text, booleans, dates, null, integers below 2^64 and finite numbers. Lists and
    mappings may be nested `MAX_DEPTH` times. The check itself does not recurse.
    """
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                for key in item:
                    _check_key(key)
                inner += item.values()
            elif isinstance(item, list):
                inner += item
            else:
                _check_scalar(item)
        if not inner:
            return
        level = inner
    raise ValueError(f"it is nested too deeply: at most {MAX_DEPTH} levels are allowed")


def _check_key(key: Any) -> None:
    if not isinstance(key, str | int) or isinstance(key, bool):
        raise ValueError(f"the key {str(key)[:60]!r} is not text")
    _check_scalar(key)


def _check_scalar(value: Any) -> None:
    if isinstance(value, int) and abs(value) >= _MAX_INTEGER:
        raise ValueError("it contains an integer of more than 64 bits")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"it contains {value}; only finite numbers are allowed")
    if value is not None and not isinstance(value, str | int | float | datetime.date):
        raise ValueError(f"it contains a {type(value).__name__}; write text or a number")
