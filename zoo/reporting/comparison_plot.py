"""The picture of a comparison of runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zoo.evaluation.comparison import value_tables
from zoo.evaluation.figures import COMPARED, PREFERRED
from zoo.evaluation.runs import Run, with_unique_names
from zoo.io.atomic import atomic_path
from zoo.reporting.canvas import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#35618f", "#d98032", "#4f8f5b", "#9a5b9e", "#b8433f", "#5f6b76", "#8a7a3a", "#3c9aa0")


def draw_comparison(path: Path, runs: Sequence[Run], result: Mapping[str, Any]) -> None:
    """Write a PNG of what `compare_runs` returned for the runs.

    It shows a box plot per figure and, if all times are known, the most informative figure against
    the time.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    runs = with_unique_names(runs)
    names = [run.name for run in runs]
    tables = value_tables(runs, result["cases"])
    timed = next((key for key in PREFERRED if key in tables), None)
    if not all(result["seconds"].values()):
        timed = None
    count = len(tables) + (timed is not None)
    columns = min(3, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(4.2 * columns, 3.4 * rows), dpi=140, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    for k, (key, table) in enumerate(tables.items(), start=1):
        _draw_boxes(figure.add_subplot(rows, columns, k), key, table, names)
    if timed is not None:
        axes = figure.add_subplot(rows, columns, count)
        seconds = [result["seconds"][name] for name in names]
        _draw_against_time(axes, timed, tables[timed], seconds, names)
    with atomic_path(path) as temporary:
        canvas.print_png(temporary)


def _draw_boxes(axes: Axes, key: str, table: NDArray[np.float64], names: Sequence[str]) -> None:
    """Draw the values [run, case] of a figure as a box per run, with a dot per case."""
    parts = axes.boxplot(
        list(table),
        widths=0.55,
        patch_artist=True,
        showfliers=False,
        medianprops={"color": INK, "lw": 1.8},
    )
    for k, box in enumerate(parts["boxes"]):
        box.set(facecolor=COLOURS[k % len(COLOURS)], edgecolor="none", alpha=0.75)
        spread = np.random.default_rng(k).uniform(-0.12, 0.12, table.shape[1])
        axes.plot(k + 1 + spread, table[k], ".", color=INK, ms=3, alpha=0.5)
    axes.set_xticks(range(1, len(names) + 1), names, rotation=20, ha="right", parse_math=False)
    higher = COMPARED[key].better > 0
    if not higher:
        axes.set_ylim(bottom=0, top=None if table.any() else 1)
    _style(axes, f"{COMPARED[key].label}\n{'higher' if higher else 'lower'} is better")


def _draw_against_time(
    axes: Axes,
    key: str,
    table: NDArray[np.float64],
    seconds: Sequence[float],
    names: Sequence[str],
) -> None:
    """Draw the mean of a figure [run, case] against the mean time, with a dot per run."""
    for k, (name, time, values) in enumerate(zip(names, seconds, table, strict=True)):
        axes.plot(time, values.mean(), "o", ms=8, color=COLOURS[k % len(COLOURS)])
        axes.annotate(
            name, (time, values.mean()), (6, 5), textcoords="offset points", parse_math=False
        )
    axes.set_xscale("log")
    axes.margins(0.25)
    axes.set_xlabel("seconds per pair")
    _style(axes, f"{COMPARED[key].label}\nagainst time")


def _style(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", color="#e3e7eb", lw=0.8)
    axes.set_axisbelow(True)
