"""The report of the demo: real pairs, each registered with the models that are for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.evaluation.figures import FIGURES
from zoo.io.atomic import write_text
from zoo.reporting.pages import embedded, render
from zoo.reporting.panels import Panel
from zoo.reporting.tables import Row

DEMO_FIGURES = ("dice", "hd95_mm", "similarity")
DEMO_KEYS = (
    *("pair", "model", "Dice before", "after", "HD95 mm before", "after"),
    *("similarity before", "after", "folded %", "seconds"),
)


@dataclass(frozen=True)
class DemoRow:
    """One registration of the demo: its pair, model, command, result.json and panels.

    The `note` says what is wrong with it and is empty otherwise. A registration that did not run
    has no result.
    """

    pair: str
    model: str
    command: str = ""
    note: str = ""
    result: Mapping[str, Any] | None = None
    panels: Sequence[Panel] = ()


def write_demo_report(rows: Sequence[DemoRow], path: Path) -> None:
    """Write a page with a table of all registrations, and the panels of each."""
    page = render(
        "demo.html.j2",
        title="regzoo demo",
        introduction="Real head-and-neck CT of two patients, and two heads of different contrast "
        "that were rendered from label maps. Each model registers a pair that it is for. Dice is "
        "the overlap of the labels, HD95 the 95th percentile of the distance between their "
        "surfaces, and similarity the squared local correlation of the images.",
        keys=DEMO_KEYS,
        rows=[
            {
                "pair": row.pair,
                "model": row.model,
                "command": row.command,
                "note": row.note,
                "cells": demo_cells(row.result) if row.result else (),
                "warnings": row.result["warnings"] if row.result else (),
                "panels": [embedded(panel) for panel in row.panels],
            }
            for row in rows
        ],
    )
    write_text(path, page)


def demo_cells(result: Mapping[str, Any]) -> Row:
    """Return the cells of a registration in the demo's table, without its pair and model."""
    figures = result["figures"]
    cells = [
        FIGURES[name].text(figures.get(key))
        for name in (*DEMO_FIGURES, "folding_percent")
        for key in FIGURES[name].keys
    ]
    seconds = result.get("wall_seconds", sum(result["seconds"].values()))
    return (*cells, f"{seconds:.1f}")
