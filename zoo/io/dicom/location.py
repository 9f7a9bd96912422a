"""Which paths are DICOM images: a folder with a series, one file of it, or FOLDER#SERIES-UID.

Nothing here imports pydicom, so that other images are recognised without it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from zoo.errors import UserError
from zoo.io.files import AnyPath
from zoo.io.limits import MAX_DICOM_FILES

SEPARATOR = "#"
"""What separates a folder from the UID of one of its series."""

_PREAMBLE = 128


def split_location(path: AnyPath) -> tuple[Path, str | None]:
    """Return the folder or file of a DICOM image, and the UID of the series if one is given."""
    location = Path(path)
    folder, separator, uid = str(location).rpartition(SEPARATOR)
    if separator and not location.exists() and Path(folder).exists():
        return Path(folder), uid
    return location, None


def is_dicom(path: AnyPath) -> bool:
    """Return whether a path is a DICOM file or a folder, at any depth, with at least one."""
    try:
        location, _ = split_location(path)
        return is_dicom_file(location) or any(map(is_dicom_file, _files_below(location)))
    except (OSError, ValueError):  # no access, or a name that is too long
        return False


def is_dicom_file(path: Path) -> bool:
    """Return whether a file has the mark of DICOM after its preamble of 128 bytes."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            return stream.read(_PREAMBLE + 4)[_PREAMBLE:] == b"DICM"
    except OSError:
        return False


def dicom_files(folder: Path, *, below: bool = True) -> list[Path]:
    """Return the DICOM files in a folder, sorted, with those of its subfolders if `below`."""
    found = _files_below(folder) if below else (p for p in folder.iterdir() if p.is_file())
    return sorted(path for path in found if is_dicom_file(path))


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and its subfolders; links to folders are not followed."""
    count = 0
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            count += 1
            if count > MAX_DICOM_FILES:
                raise UserError(
                    f"{folder} has more than {MAX_DICOM_FILES} files; give the folder of one series"
                )
            yield Path(root) / name
