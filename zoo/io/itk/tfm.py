"""Affine ITK transforms as text (.tfm, .txt) and as MATLAB 4 files (.mat, as ANTs writes)."""

from __future__ import annotations

import struct
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

_FIRST_LINE = "#Insight Transform File V1.0"
_NUMBER_TYPES = {0: "<f8", 10: "<f4"}  # by the type code of a MATLAB 4 matrix
_MATLAB_HEADER = "<5i"  # type, rows, columns, complex, length of the name with its final zero


def is_tfm(path: Path) -> bool:
    """Return whether the file begins like a text transform of ITK."""
    return first_bytes(path, 16).startswith(_FIRST_LINE[:16].encode())


def read_tfm(path: AnyPath) -> Transform:
    """Read a transform or a composite in the text format of ITK."""
    file = existing_file(path)
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError as error:
        raise damaged_file_error(file, "it is not text") from error
    parts: list[Part] = []
    for number, line in enumerate(lines, start=1):
        key, colon, rest = line.partition(":")
        key = key.strip()
        if not line.strip() or line.startswith("#"):
            continue
        if key == "Transform" and colon:
            parts.append(Part(parse_class_name(file, rest), np.empty(0), np.empty(0)))
        elif key in ("Parameters", "FixedParameters") and parts:
            values = _numbers(file, number, rest)
            last = parts[-1]
            parts[-1] = (
                Part(last.class_name, values, last.fixed)
                if key == "Parameters"
                else Part(last.class_name, last.parameters, values)
            )
        else:
            raise UserError(
                f"{file}, line {number}: {line.strip()[:40]!r} is not part of a transform; "
                "allowed are Transform:, Parameters: and FixedParameters:"
            )
    return combine_parts(file, without_composite(file, parts))


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
    columns = _read_columns(file, file.read_bytes())
    names = [name for name in columns if name != "fixed"]
    if len(names) != 1 or "fixed" not in columns:
        raise UserError(
            f"{file} contains {', '.join(columns)}; give one transform and its 'fixed' parameters"
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
        return np.array([float(word) for word in text.split()])
    except ValueError as error:
        raise UserError(f"{path}, line {number}: {error}; only numbers are allowed") from error


def _read_columns(path: Path, content: bytes) -> dict[str, np.ndarray]:
    """Return the matrices of doubles or floats of a MATLAB 4 file, flattened, by name."""
    columns = {}
    while content:
        try:
            code, rows, width, _, length = struct.unpack_from(_MATLAB_HEADER, content)
            dtype = _NUMBER_TYPES[code]
            name = content[20 : 20 + length].rstrip(b"\0").decode("ascii")
            columns[name] = np.frombuffer(content, dtype, rows * width, 20 + length).astype(float)
        except (struct.error, KeyError, ValueError, UnicodeDecodeError) as error:
            raise damaged_file_error(
                path, f"it is not a MATLAB 4 file of numbers: {error}"
            ) from error
        content = content[20 + length + rows * width * np.dtype(dtype).itemsize :]
    return columns
