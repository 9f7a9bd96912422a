"""A registration as a notebook shows it: its verdict, its figures and a picture."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

from zoo.datasets.pairs import Pair
from zoo.evaluation.figures import FIGURES
from zoo.geometry import Transform
from zoo.io.volume import Volume
from zoo.registration.result import RegisteredPair
from zoo.reporting.pages import render
from zoo.reporting.thumbnail import draw_thumbnail

SHOWN = ("dice", "hd95_mm", "tre_mm", "similarity", "folding_percent")
"""The figures that are shown, if they were measured."""
WIDTH = 720  # pixels


def notebook_html(result: Mapping[str, Any], picture: bytes | None) -> str:
    """Return the HTML of a registration, of its result.json and a JPEG; all text is escaped."""
    figures = result.get("figures", {})
    return render(
        "notebook.html.j2",
        model=result.get("model") or "own bundle",
        quality=result.get("quality", "unknown"),
        warnings=result.get("warnings", ()),
        rows=[
            (spec.label, [spec.text(figures[key]) for key in spec.keys])
            for spec in (FIGURES[name] for name in SHOWN)
            if figures.get(spec.key) is not None
        ],
        picture=None if picture is None else base64.b64encode(picture).decode(),
    )


def overlay_jpeg(fixed: Volume, moving: Volume, transform: Transform) -> bytes:
    """Return a JPEG of the overlays of two images, before and after the registration."""
    pair = Pair("registration", fixed, (moving,))
    out = io.BytesIO()
    draw_thumbnail(RegisteredPair(pair, transform), WIDTH).save(out, "JPEG", quality=85)
    return out.getvalue()
