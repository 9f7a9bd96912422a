"""The summary of a cohort: summary.json, summary.csv and report.html in the run's folder."""

from __future__ import annotations

import base64
import csv
import io
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.cohorts.jobs import Cohort, Job, report_of
from zoo.cohorts.record import RESULT, UNFINISHED, failure_of, is_finished, read_json
from zoo.cohorts.worker import THUMBNAIL
from zoo.evaluation.figures import COMPARED, FIGURES, key_figure
from zoo.evaluation.quality import QUALITIES
from zoo.evaluation.summary import summarise_figures
from zoo.handlers.output_files import Report
from zoo.io.atomic import write_json, write_text
from zoo.planning.weights import planned_sha256
from zoo.reporting.pages import render
from zoo.reporting.tables import Row, tiles

MAX_THUMBNAILS = 1000
"""The report shows thumbnails of this many of the worst pairs; each takes about 15 KiB."""


def write_summary(cohort: Cohort) -> dict[str, Any]:
    """Write the three files into the run's folder and return the content of summary.json."""
    document = summarise(cohort)
    write_json(cohort.folder / "summary.json", document)
    write_text(cohort.folder / "summary.csv", csv_table(document))
    write_text(
        cohort.folder / "report.html", report_page(document, cohort.folder, report_of(cohort.plan))
    )
    if not document["missing"]:  # no process is at work any more: remove leftovers of killed ones
        shutil.rmtree(cohort.folder / UNFINISHED, ignore_errors=True)
    return document


def summarise(cohort: Cohort) -> dict[str, Any]:
    """Return the figures of the finished pairs, their summary, and the other pairs.

    `errors` are the pairs that could not be registered, `missing` those that are not done yet.
    """
    cases: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    missing: list[str] = []
    for job in cohort.jobs:
        failure = failure_of(job)
        if failure is not None:
            errors.append({"name": job.name, "reason": failure.get("reason", "")})
        elif is_finished(job, cohort):
            cases.append(case_of(job))
        else:
            missing.append(job.name)
    plan = cohort.plan["plan"]
    return {
        "model": cohort.model,
        "plan": {"name": plan["name"], "preset": plan["preset"]},
        "weights": weights_used(cohort, [case["weights"] for case in cases]),
        "dataset": cohort.plan["dataset_dir"],
        "split": cohort.split,
        "uncertainty": cohort.uncertainty,
        "pairs": len(cohort.jobs),
        "finished": len(cases),
        "quality": {name: sum(case["quality"] == name for case in cases) for name in QUALITIES},
        "errors": errors,
        "missing": missing,
        "summary": summarise_figures([case["figures"] for case in cases]),
        "cases": cases,
    }


def case_of(job: Job) -> dict[str, Any]:
    """Return the entry of a finished pair in summary.json."""
    result = read_json(job.folder / RESULT) or {}
    return {
        "name": job.name,
        "seconds": sum(result.get("seconds", {}).values()) or None,
        "figures": result.get("figures", {}),
        "labels": result.get("labels", {}),
        "quality": result.get("quality"),
        "warnings": result.get("warnings", []),
        "weights": (result.get("weights") or {}).get("sha256"),
    }


def weights_used(cohort: Cohort, sha256: Sequence[str | None]) -> dict[str, Any] | None:
    """Return whether the finished pairs, whose weights have these sha256, used the plan's weights.

    `as_planned` is None if no pair is finished or if the plan was made without weights on its
    computer. The result is None for a model without weights.
    """
    used = sorted({digest for digest in sha256 if digest is not None})
    planned = planned_sha256(cohort.plan)
    if not used and planned is None:
        return None
    known = used and planned is not None
    return {
        "planned": planned,
        "used": used,
        "as_planned": used == [planned] if known else None,
    }


def weights_text(weights: Mapping[str, Any] | None) -> str:
    """Return in words whether the weights of a run are those of its plan; empty without weights."""
    if weights is None or not weights["used"]:
        return ""
    used = " and ".join(digest[:12] for digest in weights["used"])
    if weights["as_planned"] is None:
        return f"weights: sha256 {used}; the plan states none"
    if weights["as_planned"]:
        return f"weights: those of the plan (sha256 {used})"
    return f"weights: NOT those of the plan (sha256 {used}, planned {weights['planned'][:12]})"


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


def csv_table(document: Mapping[str, Any]) -> str:
    """Return one row per pair as CSV: first the finished pairs, then errors, then missing pairs."""
    names = list(dict.fromkeys(name for case in document["cases"] for name in case["figures"]))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["name", "state", "reason", "seconds", "quality", *names])
    for case in document["cases"]:
        figures = (case["figures"].get(name) for name in names)
        reason = " ".join(case["warnings"])
        values = [reason, case["seconds"], case["quality"] or "", *figures]
        writer.writerow([case["name"], "finished", *values])
    for row in document["errors"]:
        writer.writerow([row["name"], "error", row["reason"]])
    for name in document["missing"]:
        writer.writerow([name, "missing"])
    return out.getvalue()


def worst_first(cases: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Sort cases: by quality, by the number of warnings, then by the key figure that all have."""
    name = key_figure(*(case["figures"] for case in cases))

    def rank(case: Mapping[str, Any]) -> tuple[int, int, float]:
        value = case["figures"][name] * COMPARED[name].better if name else 0.0
        return -severity(case), -len(case["warnings"]), value

    return sorted(cases, key=rank)


def severity(case: Mapping[str, Any]) -> int:
    """Return 0 for the quality ok, 1 for check, 2 for failed, and 1 if the quality is unknown.

    A result that was written by an earlier version has no quality.
    """
    quality = case["quality"]
    return QUALITIES.index("check" if quality is None else quality)


def report_page(document: Mapping[str, Any], folder: Path, report: Report = "full") -> str:
    """Return report.html: the errors, the summary, then all pairs with the worst first.

    Unless the kind of the pairs' `report` is full, the page says how a pair gets the viewer.
    """
    cases = worst_first(document["cases"])
    cards = [
        {
            "name": case["name"],
            "quality": case["quality"],
            "warnings": case["warnings"],
            "tiles": tiles(case["figures"]),
            "link": f"{case['name']}/report.html" if _has_report(folder, case["name"]) else "",
            "picture": thumbnail(folder / case["name"] / THUMBNAIL) if k < MAX_THUMBNAILS else "",
        }
        for k, case in enumerate(cases)
    ]
    finished = f"{document['finished']} of {document['pairs']} pairs"
    split, plan = document["split"], document["plan"]["name"]
    return render(
        "cohort.html.j2",
        title=f"{finished}, registered with {document['model']}",
        subtitle=f"{document['dataset']}, split {split}, plan {plan}",
        errors=document["errors"],
        weights=weights_text(document["weights"]),
        missing=document["missing"],
        qualities=[f"{name}: {count}" for name, count in document["quality"].items()],
        keys=("", "pairs", "mean before", "mean after", "95 % interval", "median", "smallest",
              "largest"),
        rows=summary_rows(document["summary"]),
        cards=cards,
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
