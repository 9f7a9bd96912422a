"""A single page with all panels: the static picture of a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo.reporting.canvas import INK, Pixels, blank_canvas, pixels_of
from zoo.reporting.panels import Panel

MARGIN, TITLE_HEIGHT, HEADING_HEIGHT, LINE_HEIGHT = 36, 84, 44, 22  # pixels


def contact_sheet(title: str, lines: Sequence[str], panels: Sequence[Panel]) -> Pixels:
    """Put all strips on a white page, two per row, and lines of text into the first free space.

    Lines that do not fit are left out.
    """
    rows = [
        (p.title, list(p.strips[k : k + 2])) for p in panels for k in range(0, len(p.strips), 2)
    ]
    strip_height, strip_width = panels[0].strips[0].pixels.shape[:2]
    row_height = strip_height + HEADING_HEIGHT
    width = 2 * strip_width + 3 * MARGIN
    height = TITLE_HEIGHT + len(rows) * row_height + MARGIN
    canvas = blank_canvas(width, height, "white")
    figure = canvas.figure

    def write(x: float, y: float, text: str, size: float, weight: str = "normal") -> None:
        style: dict[str, Any] = {"fontsize": size, "weight": weight, "fontfamily": "DejaVu Sans"}
        figure.text(x / width, 1 - y / height, text, color=INK, va="top", parse_math=False, **style)

    write(MARGIN, 28, title, 17, "bold")
    remaining = list(lines[: strip_height // LINE_HEIGHT])
    for k, (name, strips) in enumerate(rows):
        y = TITLE_HEIGHT + k * row_height
        for j, strip in enumerate(strips):
            x = MARGIN + j * (strip_width + MARGIN)
            write(x, y, f"{name}: {strip.title}", 10.5)
            figure.figimage(strip.pixels, x, height - y - 24 - strip_height, origin="upper")
        if len(strips) == 1:
            for n, line in enumerate(remaining):
                write(2 * MARGIN + strip_width, y + 30 + LINE_HEIGHT * n, line, 11)
            remaining = []
    return pixels_of(canvas)
