"""The report of one registration: a self-contained report.html, and its picture report.png."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from zoo.io.atomic import atomic_path, write_text
from zoo.registration.result import RegisteredPair
from zoo.reporting.canvas import png_bytes
from zoo.reporting.contact_sheet import contact_sheet
from zoo.reporting.pages import embedded, render
from zoo.reporting.panels import draw_panels
from zoo.reporting.tables import describe_affine, figure_tables, provenance_tables, tiles

MOST_BYTES = 8 << 20  # of report.html with the viewer
LEAST_BYTES = 100_000  # of volumes in the page that are worth a viewer
RESERVE = 256 << 10  # bytes for names, levels and landmarks of the viewer
LINE_WIDTH = 88  # characters of text in report.png


def write_report(
    registration: RegisteredPair,
    result: Mapping[str, Any],
    folder: Path,
    *,
    kind: Literal["full", "light"] = "full",
    most_bytes: int = MOST_BYTES,
) -> None:
    """Write report.html and report.png of a registration into `folder`.

    `result` is the content of result.json. A full report.html has the interactive viewer, whose
    images are reduced until the file has at most `most_bytes`.
    """
    panels = draw_panels(registration)
    fixed, moving = Path(result["fixed"]), Path(result["moving"][0])
    title = f"Registration of {moving.name} to {fixed.name}"
    warnings = result["warnings"]
    with atomic_path(folder / "report.png") as path:
        path.write_bytes(png_bytes(contact_sheet(title, _lines(result, warnings), panels)))
    values = dict(
        title=title,
        subtitle=f"{' + '.join(result['moving'])} \N{RIGHTWARDS ARROW} {result['fixed']}",
        quality=result["quality"],
        warnings=warnings,
        limits=result.get("quality_limits", ()),  # absent in results of earlier versions
        tiles=tiles(result["figures"]),
        panels=[embedded(panel, small=kind == "full") for panel in panels],
        tables=figure_tables(result),
        affine=describe_affine(result),
        provenance=provenance_tables(result),
    )
    page = render("report.html.j2", **values, viewer=None)
    if kind == "full":
        viewer = _viewer(registration, result, most_bytes - len(page.encode()))
        page = render("report.html.j2", **values, viewer=viewer)
    write_text(folder / "report.html", page)


def _viewer(
    registration: RegisteredPair, result: Mapping[str, Any], most_bytes: int
) -> dict[str, Any] | None:
    """Return the parts of the viewer for the template, which take at most `most_bytes`.

    The result is None if the volumes would have less than `LEAST_BYTES`.
    """
    from zoo.reporting.viewer import import_map, library, style, viewer_document

    parts: dict[str, Any] = {"library": library(), "import_map": import_map(), "style": style()}
    left = most_bytes - sum(len(str(part)) for part in parts.values()) - RESERVE
    if left < LEAST_BYTES:
        return None
    return {**parts, "document": viewer_document(registration, result, left)}


def _lines(result: Mapping[str, Any], warnings: list[str]) -> list[str]:
    """Return the text in report.png: the model, the figures and the quality warnings."""
    figures = [f"{value}  {title}" for value, title in tiles(result["figures"])]
    model, quality = result.get("model", "unknown"), result["quality"]
    lines = [f"model: {model}", f"quality: {quality}", *figures, *warnings]
    return [part for line in lines for part in textwrap.wrap(line, LINE_WIDTH) or [""]]
