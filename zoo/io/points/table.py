"""Points as CSV, one point per row. The file does not record its coordinate space."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from zoo.errors import UserError
from zoo.geometry import Grid
from zoo.io.atomic import write_text
from zoo.io.csv_rows import read_csv_rows
from zoo.io.files import AnyPath
from zoo.io.points.document import PointDocument, is_number, no_points_error, parse_number
from zoo.io.points.spaces import Space, check_space, from_world

Rows = list[tuple[int, list[str]]]

_NAMES = ("x", "y", "z")


def read_table(file: Path) -> PointDocument:
    """Read the points of a table.

    A first row without numbers is a header. If it names x, y and z, these columns are read, in any
    order and among others; otherwise exactly three columns are allowed. Lines that begin with # are
    skipped.
    """
    rows = read_csv_rows(file, comment="#")
    columns: tuple[int, ...] | None = None
    if rows and not any(is_number(cell) for cell in rows[0][1]):
        columns = _named_columns([cell.strip().lower() for cell in rows[0][1]])
        rows = rows[1:]
    if not rows:
        raise no_points_error(file)
    points = torch.tensor(
        [_point(file, number, row, columns) for number, row in rows], dtype=torch.float64
    )
    return PointDocument(
        "csv", points, False, lambda new: replaced_cells(file, rows, columns or (0, 1, 2), new)
    )


def write_points(
    path: AnyPath, points: Tensor, space: Space, grid: Grid | None = None, *, header: bool = True
) -> None:
    """Write points (n, 3), RAS+ mm, as CSV in `space`, with a row `x,y,z` if `header` is set.

    The files of Learn2Reg have no header.
    """
    check_space(space, grid)
    points = from_world(points.detach().double().cpu(), space, grid)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if header:
        writer.writerow(_NAMES)
    writer.writerows([[f"{value:.6f}" for value in row] for row in points.tolist()])
    write_text(path, out.getvalue())


def replaced_cells(file: Path, rows: Rows, columns: Sequence[int], points: Tensor) -> bytes:
    """Return the content of a table with points (n, 3) in three columns of its rows."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        lines = list(stream)
    for (number, row), point in zip(rows, points.tolist(), strict=True):
        cells = list(row)
        for column, value in zip(columns, point, strict=True):
            cells[column] = f"{value:.6f}"
        line = lines[number - 1]
        out = io.StringIO()
        csv.writer(out, lineterminator=line[len(line.rstrip("\r\n")) :]).writerow(cells)
        lines[number - 1] = out.getvalue()
    return "".join(lines).encode()


def _named_columns(names: list[str]) -> tuple[int, ...] | None:
    """Return the columns of x, y and z in a header, or None if it does not name all three."""
    return tuple(names.index(k) for k in _NAMES) if set(_NAMES) <= set(names) else None


def _point(path: Path, number: int, row: list[str], columns: tuple[int, ...] | None) -> list[float]:
    """Return x, y and z of line `number`, or raise UserError if they are not finite numbers."""
    if columns is None and len(row) != 3:
        raise UserError(
            f"{path}, line {number}: the number of columns is {len(row)}; it must be three (x, y, "
            "z), or a header row must name x, y and z",
            code="points-columns",
        )
    if columns is not None and len(row) <= max(columns):
        raise UserError(
            f"{path}, line {number}: the number of columns is {len(row)}, fewer than in the "
            "header; add the missing ones",
            code="points-columns",
        )
    where = f"{path}, line {number}"
    return [parse_number(row[k], where) for k in columns or (0, 1, 2)]
