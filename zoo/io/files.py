"""What every reader asks first: is there a file, and what does it begin with?"""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path
from typing import IO, cast

from zoo.errors import UserError

AnyPath = str | os.PathLike[str]

GZIP = b"\x1f\x8b"
HDF5 = b"\x89HDF\r\n\x1a\n"
ZIP = b"PK"


def existing_file(path: AnyPath) -> Path:
    """Return `path` if it names a file with something in it that may be read."""
    file = Path(path)
    try:
        if file.is_dir():
            raise UserError(f"{file} is a folder; name a file in it")
        if not file.exists():
            raise UserError(f"there is no file {file}; check the name and the folder")
        if not os.access(file, os.R_OK):
            raise UserError(f"no permission to read {file}; change its permissions")
        if file.stat().st_size == 0:
            raise UserError(f"{file} is empty (0 bytes); copy or make it again")
    except (OSError, RuntimeError) as error:  # a closed folder, a name too long, links in a circle
        why = getattr(error, "strerror", None) or error
        raise UserError(f"cannot read {file} ({why}); check the name and the folder") from error
    return file


def is_gzip(path: Path) -> bool:
    """Say whether the file is compressed with gzip, by its first two bytes."""
    with path.open("rb") as stream:
        return stream.read(2) == GZIP


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file for reading, through gzip if it is compressed."""
    return cast("IO[bytes]", gzip.open(path)) if is_gzip(path) else path.open("rb")


def head(path: Path, count: int) -> bytes:
    """Return the first `count` bytes, uncompressed; fewer if the file is shorter or broken."""
    try:
        with open_bytes(path) as stream:
            return stream.read(count)
    except (EOFError, OSError, zlib.error):
        return b""


def broken(path: Path, why: object) -> UserError:
    """Return the error for a file that ends too early or whose bytes were changed."""
    return UserError(
        f"{path} is truncated or damaged ({why}); copy or make it again", code="truncated"
    )
