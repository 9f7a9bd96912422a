"""Affine ITK transforms as text (.tfm, .txt) and as MATLAB 4 files (.mat, as ANTs writes)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from zoo.errors import UserError
from zoo.geometry import Transform
from zoo.io.atomic import atomic_path, write_text
from zoo.io.files import AnyPath, damaged_file_error, existing_file, first_bytes
from zoo.io.itk.parts import (
    AFFINE,
    Part,
    affine_part,
    combine_parts,
    parse_class_name,
    without_composite,
)
from zoo.io.limits import (
    MAX_MAT_BYTES,
    MAX_TEXT_TRANSFORM_BYTES,
    MAX_TRANSFORM_PARTS,
    check_file_size,
)

_FIRST_LINE = "#Insight Transform File V1.0"
_NUMBER_TYPES = {0: "<f8", 10: "<f4"}  # by the type code of a MATLAB 4 matrix
_MAX_NAME = 256  # bytes of the name of a MATLAB matrix
_NOT_GIVEN = np.empty(0)
_MATLAB_HEADER = "<5i"  # type, rows, columns, complex, length of the name with its final zero


def is_tfm(path: Path) -> bool:
    """Return whether the file begins like a text transform of ITK."""
    return first_bytes(path, 16).startswith(_FIRST_LINE[:16].encode())


def read_tfm(path: AnyPath) -> Transform:
    """Read a transform or a composite in the text format of ITK."""
    file = existing_file(path)
    check_file_size(file, MAX_TEXT_TRANSFORM_BYTES, "store displacement fields as .nii.gz or .h5")
    try:
        with file.open(encoding="ascii") as stream:
            parts = _text_parts(file, stream)
    except UnicodeDecodeError as error:
        raise damaged_file_error(file, "it is not text") from error
    return combine_parts(file, without_composite(file, parts))


def _text_parts(file: Path, lines: Iterable[str]) -> list[Part]:
    """Return the transforms in the lines of a text file."""
    parts: list[Part] = []
    for number, line in enumerate(lines, start=1):
        key, colon, rest = line.partition(":")
        key = key.strip()
        if not line.strip() or line.startswith("#"):
            continue
        if key == "Transform" and colon and len(parts) < MAX_TRANSFORM_PARTS:
            parts.append(Part(parse_class_name(file, rest), _NOT_GIVEN, _NOT_GIVEN))
        elif key == "Parameters" and parts and parts[-1].parameters is _NOT_GIVEN:
            parts[-1] = replace(parts[-1], parameters=_numbers(file, number, rest))
        elif key == "FixedParameters" and parts and parts[-1].fixed is _NOT_GIVEN:
            parts[-1] = replace(parts[-1], fixed=_numbers(file, number, rest))
        else:
            raise UserError(
                f"{file}, line {number}: {line.strip()[:40]!r} is not part of a transform; "
                f"allowed are at most {MAX_TRANSFORM_PARTS} times Transform:, Parameters: and "
                "FixedParameters:"
            )
    return parts


def write_tfm(path: AnyPath, transform: Transform) -> None:
    """Write an affine transform in the text format of ITK."""
    part = _affine_part(path, transform)
    write_text(
        path,
        f"{_FIRST_LINE}\n#Transform 0\nTransform: {part.class_name}_double_3_3\n"
        f"Parameters: {' '.join(map(repr, part.parameters.tolist()))}\n"
        f"FixedParameters: {' '.join(map(repr, part.fixed.tolist()))}\n",
    )


def is_mat(path: Path) -> bool:
    """Return whether the file begins like a MATLAB 4 matrix named after an ITK transform."""
    start = first_bytes(path, 96)
    codes = [struct.pack("<i", code) for code in _NUMBER_TYPES]
    return start[:4] in codes and b"Transform" in start[20:] and b"_3_3\0" in start[20:]


def read_mat(path: AnyPath) -> Transform:
    """Read an affine transform from a MATLAB 4 file, as ANTs writes it."""
    file = existing_file(path)
    check_file_size(file, MAX_MAT_BYTES, "give one affine transform, as ANTs writes it")
    columns = _read_columns(file, file.read_bytes())
    names = [name for name in columns if name != "fixed"]
    if len(names) != 1 or "fixed" not in columns:
        raise UserError(
            f"{file} contains {', '.join(columns) or 'nothing'}; give one transform and its "
            "'fixed' parameters"
        )
    return combine_parts(
        file, [Part(parse_class_name(file, names[0]), columns[names[0]], columns["fixed"])]
    )


def write_mat(path: AnyPath, transform: Transform) -> None:
    """Write an affine transform as a MATLAB 4 file, as ANTs does."""
    part = _affine_part(path, transform)
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        for name, values in ((f"{AFFINE}_double_3_3", part.parameters), ("fixed", part.fixed)):
            stream.write(struct.pack(_MATLAB_HEADER, 0, values.size, 1, 0, len(name) + 1))
            stream.write(name.encode() + b"\0" + values.astype("<f8").tobytes())


def _affine_part(path: AnyPath, transform: Transform) -> Part:
    """Return the ITK part of a transform, which must be affine."""
    if transform.field is not None:
        raise UserError(
            f"cannot write {path}: .tfm and .mat store an affine only, and this transform has a "
            "displacement field; write .h5 or .nii.gz"
        )
    return affine_part(transform.affine)


def _numbers(path: Path, number: int, text: str) -> np.ndarray:
    """Return the numbers in the text of line `number`."""
    try:
        if "_" in text:
            raise ValueError("digits are grouped with _")
        return np.array([float(word) for word in text.split()])
    except ValueError as error:
        reason = str(error)[:80]
        raise UserError(f"{path}, line {number}: {reason}; only numbers are allowed") from error


def _read_columns(path: Path, content: bytes) -> dict[str, np.ndarray]:
    """Return the matrices of doubles or floats of a MATLAB 4 file, flattened, by name."""
    columns: dict[str, np.ndarray] = {}
    position = 0
    while position < len(content):
        try:
            name, values, position = _read_column(content, position)
        except (struct.error, KeyError, ValueError) as error:
            raise damaged_file_error(
                path, f"it is not a MATLAB 4 file of numbers: {error}"
            ) from error
        if name in columns or len(columns) == MAX_TRANSFORM_PARTS:
            raise damaged_file_error(path, f"the matrix {name!r} occurs twice or is one too many")
        columns[name] = values
    return columns


def _read_column(content: bytes, position: int) -> tuple[str, np.ndarray, int]:
    """Return the name and the numbers of the matrix at `position`, and where the next one begins.

    struct.error, KeyError or ValueError say that it is not a matrix of real numbers.
    """
    code, rows, width, imaginary, length = struct.unpack_from(_MATLAB_HEADER, content, position)
    dtype = np.dtype(_NUMBER_TYPES[code])
    start = position + struct.calcsize(_MATLAB_HEADER)
    end = start + length + rows * width * dtype.itemsize
    if rows < 0 or width < 0 or not 1 <= length <= _MAX_NAME or imaginary or end > len(content):
        raise ValueError(f"a matrix of {rows} x {width} numbers does not fit")
    name = content[start : start + length]
    if not name.endswith(b"\0") or not name[:-1].decode("ascii").isprintable():
        raise ValueError("the name of a matrix is damaged")
    values = np.frombuffer(content, dtype, rows * width, start + length).astype(float)
    return name[:-1].decode("ascii"), values, end
