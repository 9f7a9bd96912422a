"""A small picture of a registration, for the report of a cohort."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from zoo.geometry import Transform
from zoo.io.atomic import atomic_path
from zoo.registration.result import RegisteredPair
from zoo.reporting.canvas import paint
from zoo.reporting.overlays import orange_blue
from zoo.reporting.slices import GAP, choose_planes, image_slices

WIDTH = 420  # pixels


def write_thumbnail(registration: RegisteredPair, path: Path, width: int = WIDTH) -> None:
    """Write a JPEG with the overlay before the registration above the overlay after it."""
    with atomic_path(path) as temporary:
        draw_thumbnail(registration, width).save(temporary, "JPEG", quality=82)


def draw_thumbnail(registration: RegisteredPair, width: int = WIDTH) -> Image.Image:
    """Draw the overlay before the registration above the overlay after it."""
    pair = registration.pair
    planes = choose_planes(pair.fixed, width)
    fixed = image_slices(pair.fixed, planes, Transform.identity())
    overlays = []
    for transform in (Transform.identity(), registration.transform):
        moving = image_slices(pair.moving[0], planes, transform)
        cells = [orange_blue(f, m) for f, m in zip(fixed, moving, strict=True)]
        overlays.append(paint(planes, cells))
    before, after = overlays
    gap = np.full((GAP, before.shape[1], 3), 255, dtype=np.uint8)
    return Image.fromarray(np.concatenate([before, gap, after]))
