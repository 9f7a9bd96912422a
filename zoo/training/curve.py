"""The picture of a training: one panel per loss and per figure, against the steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from zoo.evaluation.figures import BETTER
from zoo.io.atomic import atomic_path
from zoo.training.tables import Row

_NOT_A_LOSS = ("step", "seconds")


def draw_curve(path: Path, losses: Sequence[Row], figures: Sequence[Row]) -> None:
    """Write a PNG with a panel for each loss and for each figure of the validations."""
    loss_names = [
        n for n in dict.fromkeys(n for row in losses for n in row) if n not in _NOT_A_LOSS
    ]
    figure_names = [n for n in BETTER if any(row.get(n) is not None for row in figures)]
    panels = [(n, losses, True) for n in loss_names] + [(n, figures, False) for n in figure_names]
    if not panels:
        return
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    picture = Figure(figsize=(4 * columns, 2.7 * rows), layout="constrained")
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
