"""The tables of a training, as rows of numbers: their files, means and best row, and a picture."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from zoo.errors import UserError
from zoo.evaluation.figures import COMPARED
from zoo.io.atomic import atomic_path, write_text
from zoo.io.csv_rows import read_csv_rows

Row = dict[str, float | None]
"""One row of a table: column name to number; None is an empty cell."""

_NOT_A_LOSS = ("step", "seconds")


def means_of(rows: Sequence[Mapping[str, float | None]]) -> Row:
    """Return the mean of each figure over the pairs that have it."""
    means: Row = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [value for row in rows if (value := row.get(name)) is not None]
        if values:
            means[name] = float(np.mean(values))
    return means


def best_row(rows: Sequence[Row], figure: str | None) -> Row | None:
    """Return the row with the best `figure`, the first of equals; without a figure the last row."""
    if figure is None:
        return rows[-1] if rows else None
    sign = COMPARED[figure].better
    known = [row for row in rows if row.get(figure) is not None]
    return max(known, key=lambda row: sign * float(row[figure] or 0.0), default=None)


def read_rows(path: Path) -> list[Row]:
    """Read a table that `write_rows` wrote; a file that does not exist has no rows."""
    if not path.is_file():
        return []
    rows = [cells for _, cells in read_csv_rows(path)]
    try:
        return [
            {name: float(cell) if cell else None for name, cell in zip(rows[0], row, strict=True)}
            for row in rows[1:]
        ]
    except ValueError as error:
        raise UserError(
            f"{path} is not the log of a training ({error}); delete its folder to train again"
        ) from error


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


def draw_curve(path: Path, losses: Sequence[Row], figures: Sequence[Row]) -> None:
    """Write a PNG with a panel for each loss and for each figure of the validations."""
    loss_names = [
        n for n in dict.fromkeys(n for row in losses for n in row) if n not in _NOT_A_LOSS
    ]
    figure_names = [n for n in COMPARED if any(row.get(n) is not None for row in figures)]
    panels = [(n, losses, True) for n in loss_names] + [(n, figures, False) for n in figure_names]
    if not panels:
        return
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    width, height = 4 * columns, 2.7 * rows  # inches; a layout by matplotlib takes most of the time
    picture = Figure(figsize=(width, height))
    picture.subplots_adjust(
        left=0.6 / width, right=1 - 0.1 / width, bottom=0.45 / height, top=1 - 0.3 / height,
        wspace=0.22, hspace=0.45,
    )  # fmt: skip
    canvas = FigureCanvasAgg(picture)
    for k, (name, table, smooth) in enumerate(panels, start=1):
        points = [(row["step"], row[name]) for row in table if row.get(name) is not None]
        _plot(picture.add_subplot(rows, columns, k), name, np.array(points, float), smooth=smooth)
    with atomic_path(path) as temporary:
        canvas.print_png(temporary)


def _plot(axes: Axes, name: str, points: np.ndarray, *, smooth: bool) -> None:
    """Plot (step, value) points; `smooth` adds the running mean over a twentieth of the run."""
    steps, values = points.T
    if smooth:
        axes.plot(steps, values, color="#c3d0de", lw=0.7)
        width = max(1, len(values) // 20)
        values = np.convolve(values, np.ones(width) / width, mode="valid")
        steps = steps[width - 1 :]
    axes.plot(steps, values, color="#35618f", lw=1.5, marker=None if smooth else "o", ms=4)
    axes.set_title(name.replace("_", " "), fontsize=9, loc="left")
    axes.set_xlabel("step", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
