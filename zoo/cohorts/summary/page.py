"""The page of a run: its errors, its summary, and the worst pairs with their thumbnails."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.cohorts.summary.finished_pairs import FinishedPairs
from zoo.cohorts.worker import THUMBNAIL
from zoo.evaluation.figures import FIGURES
from zoo.handlers.output_files import Report
from zoo.planning.weights import weights_text
from zoo.reporting.pages import render
from zoo.reporting.tables import Row, tiles

MAX_CARDS = 1000
"""The page shows so many of the worst pairs; the thumbnail of each takes about 15 KiB."""


def report_page(
    document: Mapping[str, Any], finished: FinishedPairs, folder: Path, report: Report = "full"
) -> str:
    """Return report.html: the errors, the summary, then the finished pairs, the worst first.

    Unless the kind of the pairs' `report` is full, the page says how a pair gets the viewer.
    """
    cases = finished.worst(MAX_CARDS)
    cards = [
        {
            "name": case["name"],
            "quality": case["quality"],
            "warnings": case["warnings"],
            "tiles": tiles(case["figures"]),
            "link": f"{case['name']}/report.html" if _has_report(folder, case["name"]) else "",
            "picture": thumbnail(folder / case["name"] / THUMBNAIL),
        }
        for case in cases
    ]
    counted = f"{document['finished']} of {document['pairs']} pairs"
    split, plan = document["split"], document["plan"]["name"]
    return render(
        "cohort.html.j2",
        title=f"{counted}, registered with {document['model']}",
        subtitle=f"{document['dataset']}, split {split}, plan {plan}",
        errors=document["errors"],
        weights=weights_text(document["weights"]),
        missing=document["missing"],
        qualities=[f"{name}: {count}" for name, count in document["quality"].items()],
        keys=("", "pairs", "mean before", "mean after", "95 % interval", "median", "smallest",
              "largest"),
        rows=summary_rows(document["summary"]),
        cards=cards,
        finished=len(finished),
        viewer="" if report == "full" or not cases else _viewer_command(cases[0]["name"]),
    )  # fmt: skip


def _viewer_command(name: str) -> str:
    """Return the command, in the run's folder, that gives the report of a pair the viewer.

    The page does not name the folder, so that it stays right if the folder is moved.
    """
    return f"regzoo report {shlex.quote(name)}"


def _has_report(folder: Path, name: str) -> bool:
    return (folder / name / "report.html").is_file()


def thumbnail(path: Path) -> str:
    """Return an image file as base64; an empty string if it does not exist."""
    return base64.b64encode(path.read_bytes()).decode() if path.is_file() else ""


def summary_rows(rows: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Return the figures of a run as rows of text; those with a value before and after first."""
    out: list[Row] = []
    for spec in FIGURES.values():
        if spec.key in rows:
            before = rows.get(spec.keys[0], {}).get("mean")
            first = spec.text(before) if spec.before_after else ""
            out.append((spec.description, *_cells(rows[spec.key], first, spec.form)))
    return out


def _cells(row: Mapping[str, Any], before: str, form: str) -> tuple[str, ...]:
    interval = ""
    if row["mean_low"] is not None:
        interval = f"{form.format(row['mean_low'])} to {form.format(row['mean_high'])}"
    others = (form.format(row[key]) for key in ("median", "smallest", "largest"))
    return str(row["n"]), before, form.format(row["mean"]), interval, *others
