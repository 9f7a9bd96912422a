"""Paths that a dataset lists must stay inside its folder: nothing outside is read or written."""

from __future__ import annotations

import re
from pathlib import Path

from zoo.datasets.problems import Problem
from zoo.io.dicom.location import dicom_files, is_dicom, split_location

MAX_CHARACTERS = 1024
"""Largest length of a path, in characters."""

_RELATIVE = "write it relative to the dataset's folder, such as imagesTr/case_0001.nii.gz"


def path_problem(text: object) -> Problem | None:
    """Return what is wrong with a path as it is written, without access to the disk."""
    shown = repr(text)[:80]

    def bad(id: str, what: str, fix: str) -> Problem:
        return Problem(id, shown, what, fix)

    if not isinstance(text, str) or not text.strip():
        kind = "empty" if text in ("", None) else f"of type {type(text).__name__}"
        return bad("path-missing", f"the path of a file is {kind}", "give its path as text")
    if re.search("[\ud800-\udfff]", text):
        return bad("path-encoding", "the path is not valid UTF-8", "rename the file")
    if len(text) > MAX_CHARACTERS or any(len(part.encode()) > 255 for part in text.split("/")):
        what = (
            f"the path has {len(text)} characters; allowed are {MAX_CHARACTERS}, and 255 bytes "
            "per folder or file name"
        )
        return bad("path-long", what, "shorten it")
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        what = "the path contains NUL or another control character"
        return bad("path-control", what, "rename the file")
    if re.match(r"[A-Za-z]:|//", text):
        return bad("path-drive", "the path begins with a drive letter or a host", _RELATIVE)
    if "\\" in text:
        return bad("path-backslash", "the path contains a backslash", "separate folders with /")
    if re.search(r"\$\w|\$\{|%\w+%|^~", text):
        what = "the path contains a variable, and variables are not expanded"
        return bad("path-variable", what, _RELATIVE)
    if text.startswith("/"):
        return bad("path-absolute", "the path is absolute", _RELATIVE)
    if ".." in text.split("/"):
        return bad("path-parent", "the path leads out of a folder with ..", _RELATIVE)
    return None


class FileFinder:
    """Says which files a dataset's folder has; this one looks on the disk."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._found: dict[str, bool] = {}

    def exists(self, name: str) -> bool:
        """Return whether the folder has a file with this name."""
        if name not in self._found:  # an image that is in many pairs is looked up once
            self._found[name] = (self._root / name).is_file()
        return self._found[name]

    def problem(self, name: str) -> Problem | None:
        """Return what is wrong with a file; see `file_problem`."""
        return file_problem(self._root, name)


def file_problem(root: Path, name: str) -> Problem | None:
    """Return what is wrong with the file `root / name` on disk.

    The file must exist, must not be empty, and must not be reached by a link that leads out of
    `root`. It may also be a DICOM series, for whose files the same holds. The path itself has
    passed `path_problem`.
    """
    path = root / name
    try:
        series = is_dicom(path)
        paths = [path]
        if series and (location := split_location(path)[0]).is_dir():
            paths = [location, *dicom_files(location)]
        inside = all(_is_inside(root.resolve(), p.resolve()) for p in paths)
        exists = path.is_file() or series
    except (OSError, RuntimeError, ValueError) as error:
        what = f"the path cannot be resolved ({error})"
        return Problem("path-broken", name, what, "rename the file, or correct the link")
    if not inside:
        fix = "copy the file into the dataset"
        return Problem("path-link", name, "a link leads out of the dataset's folder", fix)
    if not exists:
        what = "it is a folder, not a file" if path.is_dir() else "the file does not exist"
        return Problem("file-missing", name, what, "correct the path, or add the file")
    if not series and path.stat().st_size == 0:
        fix = "copy the file again or recreate it"
        return Problem("file-empty", name, "the file is empty (0 bytes)", fix)
    return None


def _is_inside(root: Path, path: Path) -> bool:
    return path == root or root in path.parents
