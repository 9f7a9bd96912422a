"""Drawing of planes side by side into one array of pixels, its text and its PNG file.

Pillow draws everything here. matplotlib would take longer than the registration of a small pair.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from zoo.reporting.slices import GAP, Plane, Values

Pixels = NDArray[np.uint8]
"""An image [height, width, 3]."""

INK = "#1d2733"
LETTER_SIZE, LETTER_MARGIN = 14, 4  # pixels


def paint(planes: Sequence[Plane], cells: Sequence[Values]) -> Pixels:
    """Put planes side by side, with letters for the directions of the patient.

    There is a cell [rows, columns] or [rows, columns, 3] in 0..1 per plane.
    """
    height = max(plane.grid.shape[1] for plane in planes)
    width = sum(plane.grid.shape[0] for plane in planes) + GAP * (len(planes) - 1)
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    boxes = []
    left = 0
    for plane, cell in zip(planes, cells, strict=True):
        columns, rows = plane.grid.shape[:2]
        top = (height - rows) // 2
        colours = cell if cell.ndim == 3 else cell[..., None]
        pixels[top : top + rows, left : left + columns] = (colours * 255 + 0.5).astype(np.uint8)
        boxes.append((left, top, left + columns, top + rows))
        left += columns + GAP
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image, "RGBA")
    for plane, box in zip(planes, boxes, strict=True):
        _draw_letters(draw, box, plane.letters)
    return np.array(image)


def _draw_letters(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], letters: str) -> None:
    """Write one letter at the left, the right, the top and the bottom of a box."""
    left, top, right, bottom = box
    x, y = (left + right) / 2, (top + bottom) / 2
    places = (
        (left + LETTER_MARGIN, y, "lm"),
        (right - LETTER_MARGIN, y, "rm"),
        (x, top + LETTER_MARGIN, "mt"),
        (x, bottom - LETTER_MARGIN, "mb"),
    )
    for letter, (across, down, anchor) in zip(letters, places, strict=True):
        a, b, c, d = draw.textbbox((across, down), letter, font(LETTER_SIZE), anchor)
        draw.rectangle((a - 2, b - 2, c + 1, d + 1), fill=(0, 0, 0, 90))
        draw.text((across, down), letter, (255, 255, 255, 217), font(LETTER_SIZE), anchor)


@cache
def font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which matplotlib installs, with letters of `size` pixels."""
    matplotlib = find_spec("matplotlib")  # the package itself is not imported
    assert matplotlib is not None
    assert matplotlib.origin is not None
    folder = Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(folder / f"DejaVuSans{'-Bold' if bold else ''}.ttf", size)


def png_bytes(pixels: Pixels) -> bytes:
    """Return pixels as a PNG file; an image without colours is stored as greyscale."""
    grey = bool((pixels == pixels[..., :1]).all())
    out = io.BytesIO()
    Image.fromarray(pixels[..., 0] if grey else pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()


def jpeg_bytes(pixels: Pixels) -> bytes:
    """Return pixels as a JPEG file with full resolution of its colours."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=85, subsampling=0)
    return out.getvalue()
