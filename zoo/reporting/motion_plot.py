"""The picture of the motion in a series: translations, rotations and framewise displacement."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zoo.io.atomic import atomic_path
from zoo.reporting.comparison_plot import COLOURS


def draw_motion(
    path: Path, parameters: np.ndarray, displacement: np.ndarray, threshold_mm: float
) -> None:
    """Write a PNG of motion parameters (n, 6), mm and degrees, and framewise displacement (n,)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6.4), dpi=130, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    shift, turn, moved = figure.subplots(3, 1, sharex=True)
    for axes, values, label in (
        (shift, parameters[:, :3], "translation, mm"),
        (turn, parameters[:, 3:], "rotation, degrees"),
    ):
        names = ("x (left to right)", "y (back to front)", "z (foot to head)")
        for k, name in enumerate(names):
            axes.plot(values[:, k], color=COLOURS[k], linewidth=1.3, label=name)
        axes.set_ylabel(label)
        axes.legend(loc="upper left", fontsize=8, frameon=False, ncols=3)
    moved.plot(displacement, color=COLOURS[3], linewidth=1.3)
    moved.axhline(threshold_mm, color="#888888", linestyle="--", linewidth=1)
    moved.set_ylabel("framewise displacement, mm")
    moved.set_xlabel("frame")
    for axes in (shift, turn, moved):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    with atomic_path(path) as temporary:
        canvas.print_png(temporary)
