"""The summary of a cohort: summary.json, summary.csv and report.html in the run's folder.

The records of the pairs are read once. The entry of a finished pair goes to a temporary file, from
which the three files are written; a few numbers per pair are kept in memory.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from textwrap import indent
from typing import Any

from zoo.cohorts.jobs import STATE_FOLDER, Cohort, Job, report_of
from zoo.cohorts.record import UNFINISHED, failure_of, finished_result
from zoo.cohorts.summary.finished_pairs import FinishedPairs
from zoo.cohorts.summary.page import report_page
from zoo.evaluation.figures import COMPARED
from zoo.evaluation.quality import QUALITIES
from zoo.evaluation.summary import summarise_columns
from zoo.io.atomic import atomic_path, write_text
from zoo.io.csv_rows import cell_text
from zoo.planning.weights import weights_text, weights_used

SUMMARY = "summary.json"


@dataclass(frozen=True)
class Warned:
    """A finished pair with warnings, or whose quality is not ok."""

    name: str
    quality: str | None
    warnings: list[str]


@dataclass(frozen=True)
class Overview:
    """What summary.json says about the run as a whole.

    `document` is its content without `cases`, the entries of the finished pairs. `warned` are those
    that deserve a look.
    """

    document: dict[str, Any]
    warned: list[Warned] = field(default_factory=list)


def write_summary(cohort: Cohort) -> Overview:
    """Write the three files into the run's folder and return what they say about the whole run."""
    with TemporaryFile("w+", encoding="utf-8", dir=cohort.folder / STATE_FOLDER) as file:
        finished = FinishedPairs(file)
        overview = summarise(cohort, finished)
        _write_json(cohort.folder / SUMMARY, overview.document, finished)
        _write_table(cohort.folder / "summary.csv", overview.document, finished)
        page = report_page(overview.document, finished, cohort.folder, report_of(cohort.plan))
        write_text(cohort.folder / "report.html", page)
    if not overview.document["missing"]:  # no process is at work: remove leftovers of killed ones
        shutil.rmtree(cohort.folder / UNFINISHED, ignore_errors=True)
    return overview


def summarise(cohort: Cohort, finished: FinishedPairs) -> Overview:
    """Add the finished pairs to `finished`, and return their summary and the other pairs.

    `errors` are the pairs that could not be registered, `missing` those that are not done yet.
    """
    errors: list[dict[str, Any]] = []
    missing: list[str] = []
    warned: list[Warned] = []
    weights: set[str | None] = set()
    for job in cohort.jobs:
        result = finished_result(job, cohort)
        if result is not None:
            entry = entry_of(job, result)
            finished.add(entry)
            weights.add(entry["weights"])
            if entry["warnings"] or entry["quality"] != QUALITIES[0]:
                warned.append(Warned(job.name, entry["quality"], entry["warnings"]))
        elif (failure := failure_of(job)) is not None:
            errors.append({"name": job.name, "reason": failure.get("reason", "")})
        else:
            missing.append(job.name)
    plan = cohort.plan["plan"]
    document = {
        "model": cohort.model,
        "plan": {"name": plan["name"], "preset": plan["preset"]},
        "weights": weights_used(cohort.plan, weights),
        "dataset": cohort.plan["dataset_dir"],
        "split": cohort.split,
        "uncertainty": cohort.uncertainty,
        "pairs": len(cohort.jobs),
        "finished": len(finished),
        "quality": {name: finished.qualities[name] for name in QUALITIES},
        "errors": errors,
        "missing": missing,
        "summary": summarise_columns(finished.columns()),
    }
    return Overview(document, warned)


def entry_of(job: Job, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry of a finished pair in summary.json from its result.json."""
    return {
        "name": job.name,
        "seconds": sum(result.get("seconds", {}).values()) or None,
        "figures": result.get("figures", {}),
        "labels": result.get("labels", {}),
        "quality": result.get("quality"),
        "warnings": result.get("warnings", []),
        "weights": (result.get("weights") or {}).get("sha256"),
    }


def summary_text(document: Mapping[str, Any], folder: Path) -> str:
    """Return the outcome of a run in a few lines of text."""
    lines = [f"{document['finished']} of {document['pairs']} pairs are registered"]
    if document["finished"]:
        counts = (f"{count} {name}" for name, count in document["quality"].items())
        lines.append(f"quality: {', '.join(counts)}")
    lines += [text] if (text := weights_text(document["weights"])) else []
    lines += [f"error: {row['name']}: {row['reason']}" for row in document["errors"]]
    if document["missing"]:
        lines.append(f"not done: {len(document['missing'])}")
    for name in COMPARED:
        row = document["summary"].get(name)
        if row is not None:
            lines.append(f"{name}: {row['mean']:.4g}")
    return "\n".join([*lines, f"written to {folder}"])


def copy_summary(folder: Path, write: Callable[[str], object]) -> None:
    """Write summary.json of a run with the name of its folder as the first key."""
    with (folder / SUMMARY).open(encoding="utf-8") as file:
        write(f"{file.readline()}  {json.dumps('folder')}: {json.dumps(str(folder))},\n")
        for line in file:
            write(line)


def _write_json(
    path: Path, document: Mapping[str, Any], entries: Iterable[Mapping[str, Any]]
) -> None:
    """Write summary.json, one entry at a time, as `zoo.io.atomic.write_json` writes a value."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.write(json.dumps(document, indent=2, allow_nan=False).removesuffix("\n}"))
        file.write(',\n  "cases": [')
        separator = "\n"
        for entry in entries:
            file.write(separator + indent(json.dumps(entry, indent=2, allow_nan=False), "    "))
            separator = ",\n"
        file.write("]\n}\n" if separator == "\n" else "\n  ]\n}\n")


def _write_table(path: Path, document: Mapping[str, Any], finished: FinishedPairs) -> None:
    """Write one row per pair: first the finished pairs, then errors, then missing pairs."""
    names = list(finished.columns())
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "state", "reason", "seconds", "quality", *names])
        for entry in finished:
            figures = (entry["figures"].get(name) for name in names)
            reason = cell_text(" ".join(entry["warnings"]))
            values = [reason, entry["seconds"], entry["quality"] or ""]
            writer.writerow([cell_text(entry["name"]), "finished", *values, *figures])
        for row in document["errors"]:
            writer.writerow([cell_text(row["name"]), "error", cell_text(row["reason"])])
        for name in document["missing"]:
            writer.writerow([cell_text(name), "missing"])
