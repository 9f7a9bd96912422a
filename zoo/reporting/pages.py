"""HTML pages from the templates in this folder."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from zoo.reporting.canvas import jpeg_bytes
from zoo.reporting.panels import Panel


def render(template: str, **values: Any) -> str:
    """Fill a template and return the page; every value is escaped for HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(template).render(**values)


def embedded(panel: Panel, *, small: bool = False) -> dict[str, Any]:
    """Return a panel for a template, with its strips as PNG files in base64.

    If `small` is true, they are JPEG files, which take about a quarter of the bytes.
    """
    strips = [
        {
            "title": strip.title,
            "type": "jpeg" if small else "png",
            "data": base64.b64encode(jpeg_bytes(strip.pixels) if small else strip.png()).decode(),
        }
        for strip in panel.strips
    ]
    return {"title": panel.title, "caption": panel.caption, "strips": strips}
