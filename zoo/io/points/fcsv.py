"""Points as .fcsv of 3D Slicer: a table whose comments name the coordinate system and columns."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from zoo.errors import UserError
from zoo.io.csv_rows import read_csv_rows
from zoo.io.lps import flip_points
from zoo.io.points.document import PointDocument, no_points_error, parse_number
from zoo.io.points.table import replaced_cells

_SYSTEMS = {"RAS": "ras", "0": "ras", "LPS": "lps", "1": "lps"}  # versions before 4.11 have numbers
_COLUMNS = ["id", "x", "y", "z"]


def is_fcsv(start: bytes) -> bool:
    """Return whether a file that begins with `start` is a list of fiducials of 3D Slicer."""
    return re.match(rb"(\xef\xbb\xbf)?#\s*(Markups fiducial file|Fiducial List)", start) is not None


def read_fcsv(file: Path) -> PointDocument:
    """Read the points of a list of fiducials."""
    rows = read_csv_rows(file, comment="#")
    if not rows:
        raise no_points_error(file)
    comments = _comments(file)
    columns = [name.strip() for name in comments.get("columns", ",".join(_COLUMNS)).split(",")]
    if not {"x", "y", "z"} <= set(columns):
        raise UserError(f"{file} has the columns {', '.join(columns)[:200]}, without x, y and z")
    used = [columns.index(name) for name in "xyz"]
    points = []
    for number, row in rows:
        if len(row) <= max(used):
            raise UserError(
                f"{file}, line {number}: the number of columns is {len(row)}, fewer than the "
                "comment '# columns' names; add the missing ones",
                code="points-columns",
            )
        points.append([parse_number(row[k], f"{file}, line {number}") for k in used])
    coordinates = torch.tensor(points, dtype=torch.float64)
    written = comments.get("CoordinateSystem")
    if written is None:
        return PointDocument(
            "fcsv", coordinates, False, lambda new: replaced_cells(file, rows, used, new)
        )
    if written not in _SYSTEMS:
        raise UserError(
            f"{file} has the coordinate system {written[:20]!r}; allowed are RAS (0) and LPS (1): "
            "save it in 3D Slicer again"
        )
    flip = _SYSTEMS[written] == "lps"
    return PointDocument(
        "fcsv",
        flip_points(coordinates) if flip else coordinates,
        True,
        lambda new: replaced_cells(file, rows, used, flip_points(new) if flip else new),
    )


def _comments(file: Path) -> dict[str, str]:
    """Return the comments `# key = value` of a file; its size was checked before."""
    with file.open(encoding="utf-8-sig") as stream:
        lines = [line[1:].partition("=") for line in stream if line.startswith("#")]
    return {key.strip(): value.strip() for key, equals, value in lines if equals}
