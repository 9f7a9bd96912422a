"""Drawing of planes side by side into one array of pixels, and its PNG file."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from zoo.reporting.slices import GAP, Plane, Values

Pixels = NDArray[np.uint8]
"""An image [height, width, 3]."""

Draw = Callable[[Axes, Plane], None]
"""Draws lines onto a plane; the axes are in pixels of the plane, rows down."""

DPI = 100
INK = "#1d2733"


def paint(planes: Sequence[Plane], cells: Sequence[Values], draw: Draw | None = None) -> Pixels:
    """Put planes side by side, with letters for the directions of the patient.

    There is a cell [rows, columns] or [rows, columns, 3] in 0..1 per plane. `draw` adds lines to
    each of them.
    """
    height = max(plane.grid.shape[1] for plane in planes)
    width = sum(plane.grid.shape[0] for plane in planes) + GAP * (len(planes) - 1)
    canvas = blank_canvas(width, height, "black")
    figure = canvas.figure
    background = np.zeros((height, width, 3), dtype=np.uint8)
    left = 0
    for plane, cell in zip(planes, cells, strict=True):
        columns, rows = plane.grid.shape[:2]
        top = (height - rows) // 2
        colours = cell if cell.ndim == 3 else cell[..., None]
        background[top : top + rows, left : left + columns] = (colours * 255 + 0.5).astype(np.uint8)
        box = (left / width, (height - top - rows) / height, columns / width, rows / height)
        axes = figure.add_axes(box)
        axes.set_axis_off()
        axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
        if draw is not None:
            draw(axes, plane)
        _draw_letters(axes, plane.letters)
        left += columns + GAP
    figure.figimage(background, 0, 0, origin="upper", zorder=-1)  # under lines and letters
    return pixels_of(canvas)


def blank_canvas(width: int, height: int, colour: str) -> FigureCanvasAgg:
    """Return an empty canvas with a size in pixels."""
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=colour)
    return FigureCanvasAgg(figure)


def pixels_of(canvas: FigureCanvasAgg) -> Pixels:
    """Draw a canvas and return its pixels."""
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def _draw_letters(axes: Axes, letters: str) -> None:
    """Write one letter at the left, the right, the top and the bottom."""
    positions = [(0.015, 0.5, "left", "center"), (0.985, 0.5, "right", "center")]
    positions += [(0.5, 0.985, "center", "top"), (0.5, 0.015, "center", "bottom")]
    for letter, (x, y, across, down) in zip(letters, positions, strict=True):
        text = axes.text(x, y, letter, ha=across, va=down, transform=axes.transAxes)
        text.set(color="white", fontsize=10, fontfamily="DejaVu Sans", alpha=0.85)
        text.set_bbox({"facecolor": "black", "alpha": 0.35, "pad": 1, "linewidth": 0})


def png_bytes(pixels: Pixels) -> bytes:
    """Return pixels as a PNG file; an image without colours is stored as greyscale."""
    from PIL import Image

    grey = bool((pixels == pixels[..., :1]).all())
    out = io.BytesIO()
    Image.fromarray(pixels[..., 0] if grey else pixels).save(out, "PNG", compress_level=4)
    return out.getvalue()
