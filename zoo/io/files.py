"""What readers and writers share: the file exists, its first bytes show the format, gzip."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from zoo.errors import UserError

AnyPath = str | os.PathLike[str]

# The first bytes of the files of each kind.
GZIP_MAGIC = b"\x1f\x8b"
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGIC = b"PK"


def existing_file(path: AnyPath) -> Path:
    """Return `path` if it is a readable file that is not empty; otherwise raise UserError."""
    file = Path(path)
    try:
        if file.is_dir():
            raise UserError(f"{file} is a folder; give the name of a file")
        if not file.exists():
            raise UserError(f"there is no file {file}; check the name and the folder")
        if not os.access(file, os.R_OK):
            raise UserError(f"no permission to read {file}; change its permissions")
        if file.stat().st_size == 0:
            raise UserError(f"{file} is empty (0 bytes); copy or create it again")
    except (OSError, RuntimeError) as error:  # no access, a name too long, a circle of links
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read {file} ({reason}); check the name and the folder") from error
    return file


def is_gzip(path: Path) -> bool:
    """Return whether the file is compressed with gzip, according to its first two bytes."""
    with path.open("rb") as stream:
        return stream.read(2) == GZIP_MAGIC


def open_decompressed(path: Path) -> IO[bytes]:
    """Open a file for reading; a gzip file is decompressed."""
    return cast("IO[bytes]", gzip.open(path)) if is_gzip(path) else path.open("rb")


@contextmanager
def open_gzip_of_floats(path: Path) -> Iterator[gzip.GzipFile]:
    """Open a gzip file for writing numbers whose bytes do not repeat, such as displacements.

    Only runs of equal bytes are looked for, not repeated sequences. This takes a third of the time
    of the usual strategy, and the files are as small. Equal contents give equal files.
    """
    raw_deflate = -zlib.MAX_WBITS
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as stream:
        stream.compress = zlib.compressobj(
            1, zlib.DEFLATED, raw_deflate, zlib.DEF_MEM_LEVEL, zlib.Z_RLE
        )
        yield stream


def first_bytes(path: Path, count: int) -> bytes:
    """Return the first `count` decompressed bytes; fewer if the file is shorter or damaged."""
    try:
        with open_decompressed(path) as stream:
            return stream.read(count)
    except (EOFError, OSError, zlib.error):
        return b""


def damaged_file_error(path: Path, reason: object) -> UserError:
    """Return the error for a file that ends too early or whose bytes were changed."""
    return UserError(
        f"{path} is truncated or damaged ({reason}); copy or create it again", code="truncated"
    )


def read_gzip_bytes(path: Path, offset: int, count: int, most_after: int) -> bytes:
    """Return `count` decompressed bytes from `offset` on; the checksum of the file is verified.

    A file with fewer bytes, or with more than `most_after` bytes after these, is refused.
    """
    try:
        with open_decompressed(path) as stream:
            stream.seek(offset)
            data = stream.read(count)
            after = 0
            while block := stream.read(1 << 20):  # gzip verifies its checksum at the end
                after += len(block)
                if after > most_after:
                    raise damaged_file_error(
                        path, f"more than {most_after} bytes follow its voxels"
                    )
    except MemoryError as error:
        raise UserError(
            f"{path} needs {count} bytes of memory, which are not available; resample it to fewer "
            "voxels"
        ) from error
    except (EOFError, OSError, zlib.error) as error:
        raise damaged_file_error(path, error) from error
    if len(data) < count:
        raise damaged_file_error(path, f"it has {len(data)} of {count} bytes")
    return data
