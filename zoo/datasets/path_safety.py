"""File names of a dataset stay in its folder: nothing outside is read or written."""

from __future__ import annotations

import re
from pathlib import Path

from zoo.datasets.problems import Problem

MOST_CHARACTERS = 1024


def name_problem(text: object) -> Problem | None:
    """Return what is wrong with a name as it is written, before any disk is asked."""
    shown = repr(text)[:80]

    def bad(id: str, what: str, fix: str) -> Problem:
        return Problem(id, shown, what, fix)

    if not isinstance(text, str) or not text.strip():
        kind = "nothing" if text in ("", None) else type(text).__name__
        return bad("path-missing", f"a file is named by {kind}", "name it by its path as text")
    if re.search("[\ud800-\udfff]", text):
        return bad("path-encoding", "the name is not UTF-8", "rename the file")
    if len(text) > MOST_CHARACTERS or any(len(part.encode()) > 255 for part in text.split("/")):
        return bad("path-long", f"the name has {len(text)} characters", "shorten it")
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        return bad("path-control", "the name holds NUL or a control character", "rename the file")
    if re.match(r"[A-Za-z]:|//", text):
        return bad("path-drive", "the name begins with a drive or a host", _RELATIVE)
    if "\\" in text:
        return bad("path-backslash", "the name holds a backslash", "separate folders with /")
    if re.search(r"\$\w|\$\{|%\w+%|^~", text):
        return bad("path-variable", "the name holds a variable, which is not filled in", _RELATIVE)
    if text.startswith("/"):
        return bad("path-absolute", "the path is absolute", _RELATIVE)
    if ".." in text.split("/"):
        return bad("path-parent", "the path climbs with ..", _RELATIVE)
    return None


def place_problem(root: Path, name: str) -> Problem | None:
    """Return what is wrong with a well-written name on this disk: a link out, or no file."""
    path = root / name
    try:
        real = path.resolve()
        inside = real == root.resolve() or root.resolve() in real.parents
        there = path.is_file()
    except (OSError, RuntimeError, ValueError) as error:
        return Problem("path-broken", name, f"the path cannot be followed ({error})", "rename it")
    if not inside:
        fix = "copy the file into the dataset"
        return Problem("path-link", name, "a link leads out of the dataset's folder", fix)
    if not there:
        kind = "it is a folder" if path.is_dir() else "there is no such file"
        return Problem("file-missing", name, kind, "correct the name, or copy the file there")
    if path.stat().st_size == 0:
        return Problem("file-empty", name, "the file has 0 bytes", "copy or make it again")
    return None


_RELATIVE = "write it relative to the dataset's folder, such as imagesTr/case_0001.nii.gz"
