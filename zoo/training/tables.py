"""The tables of a training as rows of numbers: reading, writing, means, and the best row."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.evaluation.figures import BETTER, PREFERRED
from zoo.io.atomic import write_text

Row = dict[str, float | None]
"""One row of a table: column name to number; None is an empty cell."""


def means_of(rows: Sequence[Mapping[str, float | None]]) -> Row:
    """Return the mean of each figure over the pairs that have it."""
    means: Row = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [value for row in rows if (value := row.get(name)) is not None]
        if values:
            means[name] = float(np.mean(values))
    return means


def preferred_figure(row: Mapping[str, float | None]) -> str | None:
    """Return the first figure of `PREFERRED` that a row has; None if it has none."""
    return next((name for name in PREFERRED if row.get(name) is not None), None)


def best_row(rows: Sequence[Row], figure: str | None) -> Row | None:
    """Return the row with the best `figure`, the first of equals; without a figure the last row."""
    if figure is None:
        return rows[-1] if rows else None
    sign = BETTER[figure]
    known = [row for row in rows if row.get(figure) is not None]
    return max(known, key=lambda row: sign * float(row[figure] or 0.0), default=None)


def read_rows(path: Path) -> list[Row]:
    """Read a table that `write_rows` wrote; a file that does not exist has no rows."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return [
            {k: float(v) if v else None for k, v in row.items()} for row in csv.DictReader(stream)
        ]


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write a table as CSV, atomically."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows([{k: _cell(v) for k, v in row.items()} for row in rows])
    write_text(path, stream.getvalue())


def _cell(value: float | None) -> Any:
    """Write whole numbers without a decimal point."""
    return value if value is None or not float(value).is_integer() else int(value)
