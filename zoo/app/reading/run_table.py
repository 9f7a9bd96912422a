"""The pairs of a run that is finished or in progress, read from its folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

from zoo.app.reading.results import tile_documents
from zoo.cohorts.jobs import PLAN, Job, plan_cohort
from zoo.cohorts.record import FAILURE, RESULT, read_json
from zoo.cohorts.summary import FinishedPairs, entry_of, summary_rows
from zoo.cohorts.worker import THUMBNAIL
from zoo.datasets.pairs import pair_files
from zoo.errors import UserError
from zoo.evaluation.quality import QUALITIES
from zoo.evaluation.summary import summarise_columns
from zoo.pipelines.run_folder import SUMMARY
from zoo.planning.plan import read_plan

ADDRESS = "/api/run/pairs"
COLUMNS = (
    *("", "pairs", "mean before", "mean after", "95 % interval", "median", "smallest", "largest"),
)
REMEMBERED = 20_000
"""Pairs whose row is kept until their result changes."""

Settled = Mapping[str, tuple[str, int]]
"""The settled pairs by name: the file that says so, and when it was written, ns."""


def settled_pairs(folder: Path) -> Settled:
    """Return the pairs of a run that have a result or a failure."""
    found = {}
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            for name in (RESULT, FAILURE):
                try:
                    written = (folder / entry.name / name).stat().st_mtime_ns
                except OSError:
                    continue
                found[entry.name] = (name, written)
                break
    return found


def planned_pairs(folder: Path) -> tuple[str, ...] | None:
    """Return the names of all pairs of a run; None if neither dataset nor summary tells them."""
    try:
        cohort = plan_cohort(read_plan(folder / PLAN), folder)
        return tuple(job.name for job in cohort.jobs)
    except (UserError, OSError, KeyError):  # the dataset is elsewhere
        summary = read_json(folder / SUMMARY)
    if summary is None:
        return None
    try:
        rows = [*summary["cases"], *summary["errors"]]
        return tuple(sorted([*(row["name"] for row in rows), *summary["missing"]]))
    except (KeyError, TypeError):
        return None


def run_document(folder: Path, planned: Iterable[str] | None) -> dict[str, Any]:
    """Return the table of a run: its pairs with the worst first. Runs in the helper process."""
    settled = settled_pairs(folder)
    errors = []
    finished = FinishedPairs(StringIO())
    for name, (file, written) in settled.items():
        if file == FAILURE:
            errors.append({"name": name, "reason": _reason(folder / name)})
        elif (case := _case(folder / name, written)) is not None:
            finished.add(case)
    names = None if planned is None else [*planned]
    plan = read_json(folder / PLAN) or {}
    section = plan.get("plan")
    return {
        "name": folder.name,
        "model": section.get("model") if isinstance(section, dict) else None,
        "split": plan.get("split"),
        "pairs": None if names is None else len(names),
        "finished": len(finished),
        "quality": {name: finished.qualities[name] for name in QUALITIES},
        "errors": errors,
        "missing": None if names is None else [name for name in names if name not in settled],
        "rows": summary_rows(summarise_columns(finished.columns())),
        "columns": COLUMNS,
        "cases": [_row(folder, case) for case in finished.worst(len(finished))],
    }


def _row(folder: Path, case: Mapping[str, Any]) -> dict[str, Any]:
    """Return a pair as the table shows it."""
    address = f"{ADDRESS}/{quote(case['name'], safe='')}"
    has_picture = (folder / case["name"] / THUMBNAIL).is_file()
    keys = ("name", "quality", "warnings", "seconds", "figures")
    return {key: case[key] for key in keys} | {
        "tiles": tile_documents(case["figures"]),
        "thumbnail": f"{address}/thumbnail" if has_picture else None,
        "url": address,
    }


@lru_cache(REMEMBERED)
def _case(folder: Path, _written: int) -> dict[str, Any] | None:
    """Return the figures of a finished pair; None if its result cannot be read."""
    result = read_json(folder / RESULT)
    if result is None or not isinstance(result.get("figures"), dict):
        return None
    files = pair_files(result.get("fixed"), result.get("moving"))
    return entry_of(Job(folder.name, files, folder), result)


def _reason(folder: Path) -> str:
    return str((read_json(folder / FAILURE) or {}).get("reason", "the reason cannot be read"))
