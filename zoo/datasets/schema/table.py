"""Reading of tables of pairs, pairs.csv: one pair per row, with a header that names the columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zoo.datasets.dataset import SIDES
from zoo.errors import UserError, nearest
from zoo.io.csv_rows import read_csv_rows

COLUMNS = (
    *SIDES,
    *(f"{side}_{kind}" for side in SIDES for kind in ("labels", "mask", "points")),
    "points_space",
)
"""The columns of every table of pairs: files, and the space of the points."""


def read_pair_table(file: Path, more: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Return the number and the filled cells of each row, by the names of their columns.

    `more` are columns that are allowed besides `COLUMNS`.
    """
    rows = read_csv_rows(file)
    names = [name.strip() for name in rows[0][1]] if rows else []
    _check_columns(file, names, (*COLUMNS, *more))
    filled = []
    for line, row in rows[1:]:
        if len(row) > len(names):
            raise UserError(
                f"{file}, line {line} has more cells than there are columns; put quotes around "
                "cells that contain a comma"
            )
        cells = zip(names, map(str.strip, row), strict=False)
        filled.append((line, {name: cell for name, cell in cells if cell}))
    return filled


def _check_columns(file: Path, names: Sequence[str], allowed: Sequence[str]) -> None:
    """Refuse a header with an unknown, a repeated or a missing column."""
    shown = ", ".join(names)[:200] or "(none)"
    for name in names:
        if name not in allowed:
            raise UserError(
                f"{file} has the columns {shown}; {name[:40]!r} is not known"
                f"{nearest(name, allowed)}; allowed are {', '.join(allowed)}"
            )
        if names.count(name) > 1:
            raise UserError(f"{file} has the column {name} twice; remove one")
    for side in SIDES:
        if side not in names:
            raise UserError(
                f"{file} has the columns {shown}; {' and '.join(SIDES)} are required: add {side}"
            )
