"""Reading and writing of points as CSV, one point per row, in a given coordinate space."""

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
from zoo.io.csv_rows import read_csv_rows
from zoo.io.files import AnyPath, existing_file
from zoo.io.limits import MAX_COORDINATE
from zoo.io.lps import flip_points

Space = Literal["ras", "lps", "voxel"]

_NAMES = ("x", "y", "z")


def read_points(path: AnyPath, space: Space, grid: Grid | None = None) -> Tensor:
    """Read points (n, 3), RAS+ mm, float64.

    `space` is the space of the file: "ras" or "lps" in mm, or "voxel" for indices of `grid`. A
    first row without numbers is a header. If it names x, y and z, these columns are read, in any
    order and among others; otherwise exactly three columns are allowed. Lines that begin with # are
    skipped.
    """
    _check_space(space, grid)
    file = existing_file(path)
    rows = read_csv_rows(file, comment="#")
    columns: tuple[int, ...] | None = None
    if rows and not any(_is_number(cell) for cell in rows[0][1]):
        columns = _named_columns([cell.strip().lower() for cell in rows[0][1]])
        rows = rows[1:]
    if not rows:
        raise UserError(f"{file} has no points; give x, y, z per row", code="points-none")
    points = torch.tensor(
        [_point(file, number, row, columns) for number, row in rows], dtype=torch.float64
    )
    world = _to_world(points, space, grid)
    if not bool((world.abs() <= MAX_COORDINATE).all()):  # NaN is refused too
        raise UserError(
            f"{file} has points more than {MAX_COORDINATE:g} mm from the origin; correct them",
            code="points-too-far",
        )
    return world


def write_points(
    path: AnyPath, points: Tensor, space: Space, grid: Grid | None = None, *, header: bool = True
) -> None:
    """Write points (n, 3), RAS+ mm, as CSV in `space`, with a row `x,y,z` if `header` is set.

    The files of Learn2Reg have no header.
    """
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
        raise UserError(f"the space of points must be ras, lps or voxel, not {space!r}")
    if space == "voxel" and grid is None:
        raise UserError("points in voxels need the image that they belong to; give that image")


def _to_world(points: Tensor, space: Space, grid: Grid | None) -> Tensor:
    if space == "voxel" and grid is not None:
        return grid.to_world(points)
    return flip_points(points) if space == "lps" else points


def _from_world(points: Tensor, space: Space, grid: Grid | None) -> Tensor:
    if space == "voxel" and grid is not None:
        return grid.to_index(points)
    return flip_points(points) if space == "lps" else points


def _named_columns(names: list[str]) -> tuple[int, ...] | None:
    """Return the columns of x, y and z in a header, or None if it does not name all three."""
    return tuple(names.index(k) for k in _NAMES) if set(_NAMES) <= set(names) else None


def _point(
    path: AnyPath, number: int, row: list[str], columns: tuple[int, ...] | None
) -> list[float]:
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
    cells = [row[k] for k in columns or (0, 1, 2)]
    for cell in cells:
        if not _is_number(cell):
            raise UserError(
                f"{path}, line {number}: {cell.strip()[:40]!r} is not a number; correct it",
                code="points-not-numbers",
            )
        if not math.isfinite(float(cell)):
            raise UserError(
                f"{path}, line {number}: {cell.strip()} is not finite; remove or correct the row",
                code="not-finite",
            )
    return [float(cell) for cell in cells]


def _is_number(cell: str) -> bool:
    """Return whether a cell is a number; Python alone would allow 1_000 and other digits too."""
    if "_" in cell or not cell.isascii():
        return False
    try:
        float(cell)
    except ValueError:
        return False
    return True
