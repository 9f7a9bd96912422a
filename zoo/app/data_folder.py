"""The folder of `--data`: what is in it, and that nothing outside it is read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.app.request_error import RequestError
from zoo.datasets.names import SUFFIXES
from zoo.datasets.path_safety import file_problem, path_problem
from zoo.io.dicom.location import is_dicom_file

MOST_ENTRIES = 5000
POINTS = (".csv", ".fcsv", ".mrk.json", ".vtk", ".vtp")
IMAGES = (*SUFFIXES, ".zip", ".dcm")


@dataclass(frozen=True)
class DataFolder:
    """A folder whose images may be used. Names are relative to `root`, separated by slashes."""

    root: Path

    def find(self, name: str) -> Path:
        """Return the path of an image or a folder of DICOM; refuse what leads out of the folder."""
        _refuse_bad(name)
        if problem := file_problem(self.root, name):
            status = 403 if problem.id == "path-link" else 404
            raise RequestError(f"{name[:200]!r}: {problem.what}; {problem.fix}", status)
        return self.root / name

    def list(self, name: str) -> dict[str, Any]:
        """Return the folders, images and lists of points in a folder."""
        if name:
            _refuse_bad(name)
        folder = self.root / name
        if not self._holds(folder):
            raise RequestError(f"{name[:200]!r} leads out of the folder of --data", 403)
        if not folder.is_dir():
            raise RequestError(f"there is no folder {name[:200]!r} in the folder of --data", 404)
        with os.scandir(folder) as found:
            names = sorted(entry.name for entry in found if not entry.name.startswith("."))
        paths = [folder / each for each in names[:MOST_ENTRIES]]
        entries = [self._entry(path) for path in paths if self._holds(path)]
        parent = Path(name).parent.as_posix() if name else None
        return {
            "path": name,
            "parent": "" if parent == "." else parent,
            "dicom": any(is_dicom_file(path) for path in paths),
            "entries": [entry for entry in entries if entry is not None],
        }

    def relative(self, path: Path | str | None) -> str | None:
        """Return the name of a path in the folder; None for none."""
        return None if path is None else Path(path).relative_to(self.root).as_posix()

    def _holds(self, path: Path) -> bool:
        try:
            return path.resolve().is_relative_to(self.root.resolve())
        except (OSError, RuntimeError):
            return False

    def _entry(self, path: Path) -> dict[str, Any] | None:
        kind = "folder" if path.is_dir() else kind_of_name(path.name)
        if kind == "unknown" or not path.exists():
            return None
        size = None if kind == "folder" else path.stat().st_size
        return {"name": path.name, "path": self.relative(path), "kind": kind, "bytes": size}


def kind_of_name(name: str) -> str:
    """Return whether a file is an image or a list of points, by its name."""
    lower = name.lower()
    if lower.endswith(IMAGES):
        return "image"
    return "points" if lower.endswith(POINTS) else "unknown"


def _refuse_bad(name: str) -> None:
    """Refuse a name that could lead out of the folder, as it is written."""
    if problem := path_problem(name):
        raise RequestError(f"{name[:200]!r}: {problem.what}; {problem.fix}", 403)
