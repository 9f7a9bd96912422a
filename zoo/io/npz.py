"""Reading of one array from an untrusted .npz archive, without `numpy.load`.

The archive is checked before anything is decompressed: the size of its list of members, the header
of the array, and the number of bytes that the array needs. Python objects are refused by their
type, so nothing is ever unpickled.
"""

from __future__ import annotations

import math
import tokenize
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from zoo.errors import UserError
from zoo.io.files import damaged_file_error
from zoo.io.limits import MAX_DEFLATE_RATIO, MAX_VOXELS, MAX_ZIP_DIRECTORY_BYTES

_END_RECORD = b"PK\5\6"
_END_RECORD_BYTES = 22
_ZIP64_LOCATOR = b"PK\6\7"
_MAX_COMMENT = 0xFFFF
_MAX_HEADER = 4096  # characters of the header of an array


def read_npz_array(path: Path) -> np.ndarray:
    """Return the only array of an archive, or `arr_0`, of floating-point numbers."""
    try:
        _check_directory(path)
        with zipfile.ZipFile(path) as archive:
            member = _member(path, archive)
            _check_member(path, member)
            with archive.open(member) as stream:
                return _read_array(path, stream, member)
    except MemoryError as error:
        raise UserError(f"{path} does not fit into memory; give a smaller field") from error
    except (
        *(ValueError, EOFError, OSError, RuntimeError, NotImplementedError, TypeError),
        *(zipfile.BadZipFile, zlib.error, SyntaxError, RecursionError, KeyError),
        tokenize.TokenError,  # of a header like that of Python 2 that ends within a bracket
    ) as error:
        reason = " ".join(ascii(str(error))[1:-1].split())[:120]
        raise damaged_file_error(path, reason) from error


def _check_directory(path: Path) -> None:
    """Refuse a list of members that takes long to parse, and a damaged end of the archive."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, size - _END_RECORD_BYTES - _MAX_COMMENT))
        tail = stream.read()
    position = tail.rfind(_END_RECORD)
    if position < 0 or len(tail) - position < _END_RECORD_BYTES:
        raise damaged_file_error(path, "its list of members is missing")
    if tail[max(0, position - 20) : position].startswith(_ZIP64_LOCATOR):
        raise UserError(f"{path} is a zip archive of more than 4 GiB; give a smaller field")
    length = int.from_bytes(tail[position + 12 : position + 16], "little")
    if length > MAX_ZIP_DIRECTORY_BYTES:
        raise UserError(
            f"{path} has a list of members of {length} bytes; at most {MAX_ZIP_DIRECTORY_BYTES} "
            "are allowed: save one array"
        )


def _member(path: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Return the member that holds the array."""
    members = archive.infolist()
    names = [member.filename.removesuffix(".npy") for member in members]
    name = names[0] if len(names) == 1 else "arr_0"
    if names.count(name) != 1:
        listed = ", ".join(ascii(n[:60])[1:-1] for n in names[:10]) or "nothing"
        raise UserError(
            f"{path} contains {listed}; give an archive with one array, or with one named arr_0"
        )
    return members[names.index(name)]


def _check_member(path: Path, member: zipfile.ZipInfo) -> None:
    """Refuse an unusual compression and a length that the compressed bytes cannot reach."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UserError(
            f"{path} is compressed with method {member.compress_type}; save it with "
            "numpy.savez_compressed"
        )
    if member.file_size > max(1, member.compress_size) * MAX_DEFLATE_RATIO:
        raise damaged_file_error(
            path, f"{member.compress_size} bytes cannot expand to {member.file_size}"
        )


def _read_array(path: Path, stream: IO[bytes], member: zipfile.ZipInfo) -> np.ndarray:
    """Return the array of an open member; its header must agree with the member's length."""
    version = _version(path, stream)
    formats: Any = np.lib.format
    read_header = (
        formats.read_array_header_1_0 if version == (1, 0) else formats.read_array_header_2_0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers that Python 2 wrote
        shape, column_major, dtype = read_header(stream, max_header_size=_MAX_HEADER)
    if dtype.hasobject:
        raise UserError(
            f"{path} contains Python objects, which could run code; only numbers are allowed: "
            "save the array with a numeric type"
        )
    if dtype.kind != "f" or dtype.itemsize > 8:
        raise UserError(f"{path} is of type {dtype}; save the field as floating-point numbers")
    if any(n < 0 for n in shape) or len(shape) > 8:
        raise damaged_file_error(path, f"its array has the shape {shape}")
    count = math.prod(shape)
    if count > 3 * MAX_VOXELS:
        raise UserError(
            f"{path} has the shape {shape}; at most {MAX_VOXELS} voxels are allowed: resample it"
        )
    if count * dtype.itemsize != member.file_size - stream.tell():
        raise damaged_file_error(
            path, f"an array of {shape} needs {count * dtype.itemsize} bytes, not the given number"
        )
    content = stream.read()  # to the end, where the checksum is verified
    if len(content) != count * dtype.itemsize:
        raise damaged_file_error(path, f"its array has {len(content)} bytes")
    values: np.ndarray = np.frombuffer(content, dtype).astype(dtype.newbyteorder("="))
    array: np.ndarray = values.reshape(shape, order="F" if column_major else "C")
    return array


def _version(path: Path, stream: IO[bytes]) -> tuple[int, int]:
    """Return the version of the array's format, 1.0 or 2.0; leave the stream at its header."""
    start = stream.read(6)
    if start != b"\x93NUMPY":
        raise UserError(
            f"{path} is a zip archive of other files; give one array, as numpy saves it"
        )
    version = tuple(stream.read(2))
    if version not in ((1, 0), (2, 0)):
        raise damaged_file_error(path, f"its array has the format version {version}")
    return version[0], version[1]
