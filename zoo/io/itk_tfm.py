"""ITK's small files: text (.tfm, .txt) and MATLAB version 4 (.mat, ANTs' 0GenericAffine)."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from zoo.errors import UserError
from zoo.geometry import Transform
from zoo.io.atomic import atomic_path, write_text
from zoo.io.files import AnyPath, broken, existing_file, head
from zoo.io.itk_parts import AFFINE, COMPOSITE, Part, affine_part, kind_of, transform_of

_FIRST = "#Insight Transform File V1.0"
_NUMBERS = {0: "<f8", 10: "<f4"}  # by the type of a MATLAB 4 column
_MATLAB = "<5i"  # type, rows, columns, complex or not, length of the name with its final zero


def is_tfm(path: Path) -> bool:
    """Say whether the file begins as ITK's text transforms do."""
    return head(path, 16).startswith(_FIRST[:16].encode())


def read_tfm(path: AnyPath) -> Transform:
    """Read an affine transform, or a composite, from ITK's text format."""
    file = existing_file(path)
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError as error:
        raise broken(file, "it is not text") from error
    parts: list[Part] = []
    for number, line in enumerate(lines, start=1):
        key, colon, rest = line.partition(":")
        key = key.strip()
        if not line.strip() or line.startswith("#"):
            continue
        if key == "Transform" and colon:
            parts.append(Part(kind_of(file, rest), np.empty(0), np.empty(0)))
        elif key in ("Parameters", "FixedParameters") and parts:
            values = _numbers(file, number, rest)
            last = parts[-1]
            parts[-1] = (
                Part(last.kind, values, last.fixed)
                if key == "Parameters"
                else Part(last.kind, last.parameters, values)
            )
        else:
            raise UserError(
                f"{file}, line {number}: {line.strip()[:40]!r} is not part of a transform; "
                "allowed are Transform:, Parameters: and FixedParameters:"
            )
    if parts and parts[0].kind == COMPOSITE:
        parts = parts[1:]
    elif len(parts) > 1:
        raise UserError(f"{file} holds {len(parts)} transforms and no composite; write it as one")
    return transform_of(file, parts)


def write_tfm(path: AnyPath, transform: Transform) -> None:
    """Write an affine transform as text."""
    part = _only_affine(path, transform)
    write_text(
        path,
        f"{_FIRST}\n#Transform 0\nTransform: {part.kind}_double_3_3\n"
        f"Parameters: {' '.join(map(repr, part.parameters.tolist()))}\n"
        f"FixedParameters: {' '.join(map(repr, part.fixed.tolist()))}\n",
    )


def is_mat(path: Path) -> bool:
    """Say whether the file begins as a MATLAB 4 column named after an ITK transform."""
    start = head(path, 96)
    codes = [struct.pack("<i", code) for code in _NUMBERS]
    return start[:4] in codes and b"Transform" in start[20:] and b"_3_3\0" in start[20:]


def read_mat(path: AnyPath) -> Transform:
    """Read ITK's MATLAB form of an affine transform, as ANTs writes it."""
    file = existing_file(path)
    columns = _columns(file, file.read_bytes())
    names = [name for name in columns if name != "fixed"]
    if len(names) != 1 or "fixed" not in columns:
        raise UserError(
            f"{file} holds {', '.join(columns)}; one transform and its 'fixed' are allowed"
        )
    return transform_of(file, [Part(kind_of(file, names[0]), columns[names[0]], columns["fixed"])])


def write_mat(path: AnyPath, transform: Transform) -> None:
    """Write an affine transform in ITK's MATLAB form, as ANTs does."""
    part = _only_affine(path, transform)
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        for name, values in ((f"{AFFINE}_double_3_3", part.parameters), ("fixed", part.fixed)):
            stream.write(struct.pack(_MATLAB, 0, values.size, 1, 0, len(name) + 1))
            stream.write(name.encode() + b"\0" + values.astype("<f8").tobytes())


def _only_affine(path: AnyPath, transform: Transform) -> Part:
    """Return the affine part of a transform that has no other."""
    if transform.field is not None:
        raise UserError(
            f"cannot write {path}: .tfm and .mat hold an affine only, and this transform has a "
            "displacement field; write .h5 or .nii.gz"
        )
    return affine_part(transform.affine)


def _numbers(path: Path, number: int, text: str) -> np.ndarray:
    """Return the numbers of a line."""
    try:
        return np.array([float(word) for word in text.split()])
    except ValueError as error:
        raise UserError(f"{path}, line {number}: {error}; numbers are allowed") from error


def _columns(path: Path, content: bytes) -> dict[str, np.ndarray]:
    """Return the columns of doubles or floats of a MATLAB 4 file by name."""
    columns = {}
    while content:
        try:
            code, rows, wide, _, length = struct.unpack_from(_MATLAB, content)
            dtype = _NUMBERS[code]
            name = content[20 : 20 + length].rstrip(b"\0").decode("ascii")
            columns[name] = np.frombuffer(content, dtype, rows * wide, 20 + length).astype(float)
        except (struct.error, KeyError, ValueError, UnicodeDecodeError) as error:
            raise broken(path, f"not a MATLAB 4 column: {error}") from error
        content = content[20 + length + rows * wide * np.dtype(dtype).itemsize :]
    return columns
