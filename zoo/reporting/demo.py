"""The report of the demo: one pair registered with every model."""

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

DEMO_KEYS = ("model", "Dice before", "after", "TRE mm before", "after", "folded %", "seconds")


@dataclass(frozen=True)
class DemoRow:
    """One model of the demo: its result.json and panels, or a note that says why it did not run."""

    model: str
    note: str = ""
    result: Mapping[str, Any] | None = None
    panels: Sequence[Panel] = ()


def write_demo_report(rows: Sequence[DemoRow], path: Path) -> None:
    """Write a page with a table of all models, and the panels of each model that ran."""
    page = render(
        "demo.html.j2",
        title="regzoo demo",
        introduction="A synthetic pair of images with two contrasts and a known deformation, "
        "registered with every model that can run on this computer. TRE is the mean distance of "
        "the landmarks from their true positions.",
        keys=DEMO_KEYS,
        rows=[
            {
                "model": row.model,
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
    """Return the cells of a model in the demo's table, without its name."""
    figures = result["figures"]
    cells = [
        FIGURES[name].text(figures.get(key))
        for name in ("dice", "tre_mm", "folding_percent")
        for key in FIGURES[name].keys
    ]
    return (*cells, f"{sum(result['seconds'].values()):.1f}")
