"""The series of a DICOM folder, and the one that a path means."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import UserError
from zoo.io.dicom.headers import FileHeader, Frame, read_file_header
from zoo.io.dicom.location import (
    SEPARATOR,
    dicom_files,
    is_dicom_file,
    split_location,
)
from zoo.io.files import AnyPath

_LISTED = 20


@dataclass(frozen=True)
class Series:
    """The files of one series, at least one; `path` is what the user gave for it."""

    path: Path
    files: tuple[FileHeader, ...]

    @property
    def first(self) -> FileHeader:
        """The header of the first file, whose facts are those of the series."""
        return self.files[0]

    @property
    def uid(self) -> str:
        """The Series Instance UID; empty if it was removed."""
        return self.first.series

    @property
    def frames(self) -> list[Frame]:
        """All slices, in the order of the files."""
        return [frame for file in self.files for frame in file.frames]

    def describe(self) -> str:
        """Return the UID, description, modality, number and size of slices as text."""
        first = self.first
        size = f"{len(self.frames)} slices of {first.columns} x {first.rows}"
        name = f"{first.description!r}, " if first.description else ""
        return f"{self.uid or 'no UID'} ({name}{first.modality or 'no modality'}, {size})"


def find_series(path: AnyPath) -> Series:
    """Return the series that a path means: a folder, one file of the series, or FOLDER#UID.

    A folder with several series is an error that lists them.
    """
    location, uid = split_location(path)
    if is_dicom_file(location):
        return _series_of_file(Path(path), location)
    found = series_in(location)
    if uid is not None:
        chosen = [series for series in found if series.uid == uid]
        if not chosen:
            raise UserError(f"{location} has no series {uid!r}; {_listed(location, found)}")
        return Series(Path(path), chosen[0].files)
    if len(found) != 1:
        raise UserError(
            f"{location} has {len(found)} DICOM series; {_listed(location, found)}",
            code="several-series",
        )
    return Series(Path(path), found[0].files)


def series_in(folder: Path, *, below: bool = True) -> list[Series]:
    """Return the series with images in a folder, and in its subfolders if `below`; at least one."""
    headers = [read_file_header(path) for path in dicom_files(folder, below=below)]
    grouped: dict[str, list[FileHeader]] = defaultdict(list)
    for header in headers:
        if header is not None:
            grouped[header.series].append(header)
    if not grouped:
        raise UserError(
            f"{folder} has {len(headers)} DICOM files and none holds an image; give the folder of "
            "an image series",
            code="no-image",
        )
    return [Series(folder, tuple(files)) for files in grouped.values()]


def _series_of_file(path: Path, file: Path) -> Series:
    """Return the series of a file, from the files beside it; several frames are a whole series."""
    header = read_file_header(file)
    if header is None:
        raise UserError(f"{file} holds no image; give a file of an image series", code="no-image")
    if len(header.frames) > 1:
        return Series(path, (header,))
    beside = [read_file_header(other) for other in dicom_files(file.parent, below=False)]
    same = [other for other in beside if other is not None and other.series == header.series]
    return Series(path, tuple(same))


def _listed(folder: Path, found: Sequence[Series]) -> str:
    """Return the advice to choose one of the series of a folder."""
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    example = f"{folder}{SEPARATOR}{found[0].uid}"
    return (
        f"choose one by its UID, as in {example}: "
        f"{'; '.join(series.describe() for series in found[:_LISTED])}{more}"
    )
