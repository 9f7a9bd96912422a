"""Point lists as CSV: one point a row, in a space that the caller names."""

from __future__ import annotations

import csv
import io
import math
from typing import Literal

import torch
from torch import Tensor

from zoo.errors import UserError
from zoo.geometry import Grid
from zoo.io.atomic import write_text
from zoo.io.files import AnyPath, existing_file
from zoo.io.lps import flip_points

Space = Literal["ras", "lps", "voxel"]

_NAMES = ("x", "y", "z")


def read_points(path: AnyPath, space: Space, grid: Grid | None = None) -> Tensor:
    """Read points (n, 3), RAS+ mm, float64.

    `space` says what the file holds: "ras" or "lps" in mm, or "voxel" indices of `grid`. A first
    row of words is a header; if it names x, y and z those columns are read, in any order among
    others, otherwise there are exactly three columns. Lines that begin with # are skipped.
    """
    _check_space(space, grid)
    file = existing_file(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not text; points are a CSV with x, y, z a row") from error
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line.strip() and line.strip()[0] != "#"]
    try:
        rows = [(number, next(csv.reader([line]))) for number, line in lines]
    except csv.Error as error:
        raise UserError(f"{file} is not a CSV of points ({error})") from error
    columns: tuple[int, ...] | None = None
    if rows and not any(_is_number(cell) for cell in rows[0][1]):
        columns = _named_columns([cell.strip().lower() for cell in rows[0][1]])
        rows = rows[1:]
    if not rows:
        raise UserError(f"{file} holds no points; give x, y, z a row", code="points-none")
    points = torch.tensor(
        [_point(file, number, row, columns) for number, row in rows], dtype=torch.float64
    )
    return _to_world(points, space, grid)


def write_points(
    path: AnyPath, points: Tensor, space: Space, grid: Grid | None = None, *, header: bool = True
) -> None:
    """Write points (n, 3), RAS+ mm, as a CSV in `space`; Learn2Reg's own files have no header."""
    _check_space(space, grid)
    points = _from_world(points.detach().double().cpu(), space, grid)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if header:
        writer.writerow(_NAMES)
    writer.writerows([[f"{value:.6f}" for value in row] for row in points.tolist()])
    write_text(path, out.getvalue())


def _check_space(space: str, grid: Grid | None) -> None:
    if space not in ("ras", "lps", "voxel"):
        raise UserError(f"the space of points is ras, lps or voxel, not {space!r}")
    if space == "voxel" and grid is None:
        raise UserError("points in voxels need the image they were placed in; give that image")


def _to_world(points: Tensor, space: Space, grid: Grid | None) -> Tensor:
    if space == "voxel" and grid is not None:
        return grid.to_world(points)
    return flip_points(points) if space == "lps" else points


def _from_world(points: Tensor, space: Space, grid: Grid | None) -> Tensor:
    if space == "voxel" and grid is not None:
        return grid.to_index(points)
    return flip_points(points) if space == "lps" else points


def _named_columns(names: list[str]) -> tuple[int, ...] | None:
    """Return where x, y and z stand in a header, or None if it does not name them."""
    return tuple(names.index(k) for k in _NAMES) if set(_NAMES) <= set(names) else None


def _point(
    path: AnyPath, number: int, row: list[str], columns: tuple[int, ...] | None
) -> list[float]:
    """Return the three numbers of a row."""
    if columns is None and len(row) != 3:
        raise UserError(
            f"{path}, line {number}: {len(row)} columns; three are allowed (x, y, z), or a "
            "header row that names x, y and z",
            code="points-columns",
        )
    if columns is not None and len(row) <= max(columns):
        raise UserError(
            f"{path}, line {number}: {len(row)} columns, fewer than its header names",
            code="points-columns",
        )
    cells = [row[k] for k in columns or (0, 1, 2)]
    for cell in cells:
        if not _is_number(cell):
            raise UserError(
                f"{path}, line {number}: {cell.strip()!r} is not a number; correct it",
                code="points-not-numbers",
            )
        if not math.isfinite(float(cell)):
            raise UserError(
                f"{path}, line {number}: {cell.strip()} is not finite; remove or correct the row",
                code="not-finite",
            )
    return [float(cell) for cell in cells]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
