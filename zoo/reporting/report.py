"""The report of a registration: report.html, self-contained, and report.png."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.evaluation.figures import MAP_WORDS, WHEN, WORDS
from zoo.evaluation.quality import quality_warnings
from zoo.io.atomic import atomic_path, write_text
from zoo.registration.result import RegisteredPair
from zoo.reporting.panels import Panel, contact_sheet, draw_panels, png_bytes

Row = Sequence[str]
Table = tuple[str, str, Row | None, Sequence[Row]]

TILES = ("dice", "tre_mm", "hd95_mm", "similarity")


def write_report(registration: RegisteredPair, result: Mapping[str, Any], folder: Path) -> None:
    """Write report.html and report.png of a registration into `folder`.

    `result` is what result.json holds. Whatever it says is escaped.
    """
    panels = draw_panels(registration)
    title = f"Registration of {_name(result)}"
    found = quality_warnings(result)
    words = [f"{value}  {name}" for value, name in tiles(result["figures"])]
    lines = [f"model: {result.get('model', 'unknown')}", *words, *found]
    with atomic_path(folder / "report.png") as path:
        path.write_bytes(png_bytes(contact_sheet(title, _wrapped(lines, 88), panels)))
    page = render(
        "report.html.j2",
        title=title,
        subtitle=f"{' + '.join(result['moving'])} \N{RIGHTWARDS ARROW} {result['fixed']}",
        warnings=found,
        tiles=tiles(result["figures"]),
        panels=[embedded(panel) for panel in panels],
        tables=figure_tables(result),
        start=affine_start_words(result),
        facts=fact_tables(result),
    )
    write_text(folder / "report.html", page)


@dataclass(frozen=True)
class DemoRow:
    """One model of the demo: its result.json and pictures, or a note why there are none."""

    model: str
    note: str = ""
    result: Mapping[str, Any] | None = None
    panels: Sequence[Panel] = ()


DEMO_KEYS = ("model", "Dice before", "after", "TRE mm before", "after", "folded %", "seconds")


def write_demo_report(rows: Sequence[DemoRow], path: Path) -> None:
    """Write one page with a table of all models and the pictures of each that ran."""
    shown = [
        {
            "model": row.model,
            "note": row.note,
            "cells": demo_cells(row.result) if row.result else (),
            "warnings": quality_warnings(row.result) if row.result else (),
            "panels": [embedded(panel) for panel in row.panels],
        }
        for row in rows
    ]
    page = render(
        "demo.html.j2",
        title="regzoo demo",
        words="A synthetic pair of two contrasts whose true map is known, registered with every "
        "model that can run here. TRE is the mean distance of landmarks from their true places.",
        keys=DEMO_KEYS,
        rows=shown,
    )
    write_text(path, page)


def demo_cells(result: Mapping[str, Any]) -> Row:
    """Return the figures of the demo's table as text, after the model's name."""
    figures = result["figures"]
    names = [(name, when) for name in ("dice", "tre_mm") for when in WHEN]
    cells = [_number(figures.get(f"{n}_{w}"), WORDS[n][2]) for n, w in names]
    cells.append(_number(figures.get("folding_percent"), "{:.3g}"))
    return (*cells, f"{sum(result['seconds'].values()):.1f}")


def render(template: str, **values: Any) -> str:
    """Fill one of this folder's templates; every value is escaped for HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(template).render(**values)


def embedded(panel: Panel) -> dict[str, Any]:
    """Return a panel with its pictures as base64."""
    strips = [{"title": s.title, "data": base64.b64encode(s.png()).decode()} for s in panel.strips]
    return {"title": panel.title, "caption": panel.caption, "strips": strips}


def tiles(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the few figures that matter most: (value, words)."""
    out = []
    for name in TILES:
        before, after = figures.get(f"{name}_before"), figures.get(f"{name}_after")
        if after is not None:
            words, _, form = WORDS[name]
            out.append(
                (f"{_number(before, form)} \N{RIGHTWARDS ARROW} {form.format(after)}", words)
            )
    if figures.get("folding_percent") is not None:
        out.append((f"{figures['folding_percent']:.2g} %", "of the voxels fold"))
    return out


def figure_tables(result: Mapping[str, Any]) -> list[Table]:
    """Return the tables of figures: before and after, of the map, and of each label."""
    figures = result["figures"]
    pairs = [
        (f"{words}: {more}", *(_number(figures.get(f"{name}_{w}"), form) for w in WHEN))
        for name, (words, more, form) in WORDS.items()
        if figures.get(f"{name}_after") is not None
    ]
    alone = [
        (words, _number(figures[name], form))
        for name, (words, form) in MAP_WORDS.items()
        if figures.get(name) is not None
    ]
    out: list[Table] = []
    if pairs:
        words = "Before is the pair as its headers place it."
        out.append(("Figures", words, ("", "before", "after"), pairs))
    out.append(("The map", "", ("", ""), alone))
    labels = result.get("labels") or {}
    if labels:
        keys = ("label", "Dice before", "after", "HD95 mm before", "after")
        names = [(name, when) for name in ("dice", "hd95_mm") for when in WHEN]
        rows = [
            (label, *(_number(row.get(f"{n}_{w}"), WORDS[n][2]) for n, w in names))
            for label, row in labels.items()
        ]
        out.append(("Labels", "", keys, rows))
    return out


def affine_start_words(result: Mapping[str, Any]) -> str:
    """Say in a sentence or two what came before the deformation."""
    start = result.get("affine_start")
    if not start:
        return ""
    kinds = {
        "none": "No affine start was used",
        "com": "The centres of mass were laid on each other first",
        "rigid": "A rigid start (shift and rotation) came first",
        "affine": "An affine start (shift, rotation, scale and shear) came first",
        "given": "An affine transform that was given came first",
    }
    words = kinds.get(start.get("kind"), f"Affine start: {start.get('kind')}")
    if start.get("reason"):
        words += f": {start['reason']}"
    words = words.rstrip(".") + "."
    if start.get("kind") != "none" and start.get("shift_mm") is not None:
        words += f" It moves the body by {start['shift_mm']:.1f} mm on average."
    return words


def fact_tables(result: Mapping[str, Any]) -> list[tuple[str, list[Row]]]:
    """Return what result.json says of how the map was made, as tables with a heading."""
    out = [("Model", _rows({k: result.get(k) for k in ("model", "weights", "working_grid")}))]
    out += [
        (heading, _rows(result.get(key) or {}))
        for heading, key in (
            ("Plan", "plan"),
            ("Settings", "settings"),
            ("Time, s", "seconds"),
            ("Versions", "versions"),
        )
    ]
    if result.get("peak_memory_mib") is not None:
        out.append(("Memory", [("largest, MiB", str(result["peak_memory_mib"]))]))
    return [(heading, rows) for heading, rows in out if rows]


def _rows(values: Mapping[str, Any] | Any) -> list[Row]:
    """Return a mapping as rows of text; a value with its reason becomes one cell."""
    if not isinstance(values, Mapping):
        return [("", _text(values))]
    return [
        (str(key).replace("_", " "), _text(v)) for key, v in values.items() if v not in (None, {})
    ]


def _text(value: Any) -> str:
    if isinstance(value, Mapping) and "value" in value:
        reason = value.get("because")
        return f"{_text(value['value'])} ({reason})" if reason else _text(value["value"])
    if isinstance(value, Mapping):
        return ", ".join(f"{k}: {_text(v)}" for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _number(value: float | None, form: str) -> str:
    return "\N{EN DASH}" if value is None else form.format(value)


def _name(result: Mapping[str, Any]) -> str:
    return f"{Path(result['moving'][0]).name} to {Path(result['fixed']).name}"


def _wrapped(lines: Sequence[str], width: int) -> list[str]:
    import textwrap

    return [part for line in lines for part in textwrap.wrap(line, width) or [""]]
