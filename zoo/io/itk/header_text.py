"""What the text headers of MetaImage and NRRD have in common, and the checks against the file.

SimpleITK allocates what a header describes and opens the files that it names. Both are therefore
checked before a file is passed to it.
"""

from __future__ import annotations

import math
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import UserError
from zoo.io.files import damaged_file_error, existing_file
from zoo.io.limits import (
    MAX_DEFLATE_RATIO,
    MAX_TEXT_HEADER_BYTES,
    MAX_TEXT_HEADER_LINE,
    MAX_TEXT_HEADER_LINES,
    MAX_TEXT_HEADER_NUMBER,
    check_voxel_count,
)

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"\+?\d{1,18}", re.ASCII)


@dataclass(frozen=True)
class StoredVolume:
    """The volume that a header describes.

    The voxels, `shape` [X, Y, Z] of type `dtype` with the first axis fastest, begin in `data_file`
    after `offset` bytes. If they are compressed, with zlib or gzip, `packed_bytes` is their length
    where the header states it.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    data_file: Path
    offset: int
    compressed: bool
    packed_bytes: int | None = None

    @property
    def needed_bytes(self) -> int:
        """The number of bytes of all voxels."""
        return math.prod(self.shape) * self.dtype.itemsize


def header_lines(path: Path, is_last: re.Pattern[str]) -> tuple[list[str], int]:
    """Return the lines of a header up to the first one that `is_last`, and its number of bytes.

    A header that ends with the file is complete. Lines are ASCII or UTF-8.
    """
    lines: list[str] = []
    length = 0
    with path.open("rb") as stream:
        while raw := stream.readline(MAX_TEXT_HEADER_LINE + 1):
            length += len(raw)
            too_long = len(raw) > MAX_TEXT_HEADER_LINE or length > MAX_TEXT_HEADER_BYTES
            if too_long or len(lines) >= MAX_TEXT_HEADER_LINES:
                raise UserError(
                    f"{path} has a header of more than {MAX_TEXT_HEADER_BYTES} bytes or "
                    f"{MAX_TEXT_HEADER_LINES} lines, or a line of more than {MAX_TEXT_HEADER_LINE} "
                    "bytes; save it again without other data in it",
                    code="header",
                )
            lines.append(_decoded(path, raw))
            if is_last.fullmatch(lines[-1]):
                break
    return lines, length


def _decoded(path: Path, raw: bytes) -> str:
    """Return a line without its end; control characters are refused."""
    line = raw.removesuffix(b"\n").removesuffix(b"\r")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        text = line.decode("latin-1")
    if any((ord(c) < 32 and c != "\t") or ord(c) == 127 for c in text):
        raise damaged_file_error(path, "its header contains control characters")
    return text


def numbers(path: Path, key: str, text: str, count: int) -> list[float]:
    """Return the `count` finite numbers of a value of a header."""
    words = text.split()
    if len(words) != count or not all(map(_NUMBER.fullmatch, words)):
        raise header_error(path, key, text, f"write {count} finite numbers")
    values = [float(word) for word in words]
    if not all(abs(v) <= MAX_TEXT_HEADER_NUMBER for v in values):
        what = f"write numbers of at most {MAX_TEXT_HEADER_NUMBER:g}"
        raise header_error(path, key, text, what)
    return values


def whole_numbers(path: Path, key: str, text: str, count: int) -> list[int]:
    """Return the `count` whole numbers, 1 or larger, of a value of a header."""
    words = text.split()
    if len(words) != count or not all(_INTEGER.fullmatch(w) and int(w) > 0 for w in words):
        raise header_error(path, key, text, f"write {count} whole numbers above 0")
    return [int(word) for word in words]


def require_volume(path: Path, axes: int, components: int = 1) -> None:
    """Refuse a header without three axes of one number per voxel."""
    if axes != 3 or components != 1:
        raise UserError(
            f"{path} is {axes}-dimensional with {components}-component voxels; a volume has "
            "3 axes and one number per voxel: save one volume to a separate file",
            code="header",
        )


def header_error(path: Path, key: str, value: str, fix: str) -> UserError:
    """Return the error for a value of a header that is not allowed."""
    shown = value if len(value) <= 60 else f"{value[:57]}..."
    return UserError(f"{path} has {key} {shown!r} in its header; {fix}", code="header")


def data_file_beside(path: Path, key: str, name: str) -> Path:
    """Return the file of the voxels that a header names; it must lie in the header's folder."""
    plain = not re.search(r"[/\\%]|^[-~.]", name) and name.isprintable()
    if not plain or name.split()[:1] in (["LIST"], ["SKIPFILE"]):
        fix = "name one file in the same folder, or save the image as one file (.mha or .nrrd)"
        raise header_error(path, key, name, fix)
    try:
        file = existing_file(path.parent / name)
    except UserError as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    if file.resolve().parent != path.parent.resolve():
        fix = "it is a link that leads out of the folder: copy the file into the folder"
        raise header_error(path, key, name, fix)
    return file


def check_stored(path: Path, stored: StoredVolume) -> None:
    """Refuse a header that describes too many voxels, or more than its data can contain."""
    check_voxel_count(path, stored.shape, math.prod(stored.shape))
    available = stored.data_file.stat().st_size - stored.offset
    if stored.packed_bytes is not None and stored.packed_bytes > available:
        raise damaged_file_error(
            path, f"its header announces {stored.packed_bytes} bytes, but there are {available}"
        )
    needed = stored.needed_bytes
    if needed > available * (MAX_DEFLATE_RATIO if stored.compressed else 1):
        packed = "compressed " if stored.compressed else ""
        raise damaged_file_error(
            path, f"its header describes {needed} bytes, but there are {available} {packed}bytes"
        )


def read_voxels(path: Path, stored: StoredVolume) -> np.ndarray:
    """Return the voxels of a checked header, [X, Y, Z] in the byte order of this computer.

    SimpleITK is not used for this: it returns uninitialised memory for damaged compressed data.
    """
    needed = stored.needed_bytes
    with stored.data_file.open("rb") as stream:
        stream.seek(stored.offset)
        if stored.compressed:
            packed = stream.read(-1 if stored.packed_bytes is None else stored.packed_bytes)
            content = _decompressed(path, packed, needed)
        else:
            content = stream.read(needed)
    if len(content) != needed:
        raise damaged_file_error(path, f"its voxels take {len(content)} bytes, not {needed}")
    values: np.ndarray = np.frombuffer(content, stored.dtype).reshape(stored.shape, order="F")
    return values.astype(stored.dtype.newbyteorder("="))


def _decompressed(path: Path, packed: bytes, needed: int) -> bytes:
    """Return at most `needed` + 1 bytes of a complete zlib or gzip stream."""
    stream = zlib.decompressobj(32 + zlib.MAX_WBITS)
    try:
        content = stream.decompress(packed, needed + 1)
    except zlib.error as error:
        raise damaged_file_error(path, error) from error
    if not stream.eof and len(content) <= needed:
        raise damaged_file_error(path, "its compressed voxels end too early")
    return content
