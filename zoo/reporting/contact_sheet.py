"""A single page with all panels: the static picture of a report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from zoo.reporting.canvas import INK, Pixels, font
from zoo.reporting.panels import Panel

MARGIN, TITLE_HEIGHT, HEADING_HEIGHT, LINE_HEIGHT = 36, 84, 44, 22  # pixels
TITLE_SIZE, TEXT_SIZE = 24, 15  # pixels


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
    page = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(page)
    text = font(TEXT_SIZE)
    draw.text((MARGIN, 28), title, INK, font(TITLE_SIZE, bold=True))
    remaining = list(lines[: strip_height // LINE_HEIGHT])
    for k, (name, strips) in enumerate(rows):
        y = TITLE_HEIGHT + k * row_height
        for j, strip in enumerate(strips):
            x = MARGIN + j * (strip_width + MARGIN)
            draw.text((x, y), f"{name}: {strip.title}", INK, text)
            page.paste(Image.fromarray(strip.pixels), (x, y + 24))
        if len(strips) == 1:
            for n, line in enumerate(remaining):
                draw.text((2 * MARGIN + strip_width, y + 30 + LINE_HEIGHT * n), line, INK, text)
            remaining = []
    return np.array(page)
