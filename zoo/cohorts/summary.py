"""What a cohort's results say together: summary.json, summary.csv and report.html of the run."""

from __future__ import annotations

import base64
import csv
import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.cohorts.jobs import PARTS, RESULT, Cohort, Job, failure_of, is_finished, read_record
from zoo.cohorts.worker import THUMBNAIL
from zoo.evaluation.figures import COMPARED, FIGURES, key_figure
from zoo.evaluation.quality import quality_warnings
from zoo.evaluation.summary import summarise_figures
from zoo.io.atomic import write_json, write_text
from zoo.reporting.pages import render
from zoo.reporting.tables import Row, tiles

PICTURES = 1000
"""So many thumbnails are in the report, of the worst pairs; each takes about 15 KiB."""


def write_summary(cohort: Cohort) -> dict[str, Any]:
    """Write the three files into the run's folder, and return what summary.json holds."""
    told = summarise(cohort)
    write_json(cohort.folder / "summary.json", told)
    write_text(cohort.folder / "summary.csv", table(told))
    write_text(cohort.folder / "report.html", page(told, cohort.folder))
    if not told["missing"]:  # nobody is at work: what processes left that were killed can go
        shutil.rmtree(cohort.folder / PARTS, ignore_errors=True)
    return told


def summarise(cohort: Cohort) -> dict[str, Any]:
    """Return the figures of every finished pair and their summary, and why others are not there."""
    cases: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    missing: list[str] = []
    for job in cohort.jobs:
        failure = failure_of(job)
        if failure is not None:
            failed.append({"name": job.name, "reason": failure.get("reason", "")})
        elif is_finished(job, cohort):
            cases.append(case_of(job))
        else:
            missing.append(job.name)
    plan = cohort.plan["plan"]
    return {
        "model": cohort.model,
        "plan": {"name": plan["name"], "preset": plan["preset"]},
        "dataset": cohort.plan["dataset_dir"],
        "split": cohort.split,
        "pairs": len(cohort.jobs),
        "finished": len(cases),
        "failed": failed,
        "missing": missing,
        "summary": summarise_figures([case["figures"] for case in cases]),
        "cases": cases,
    }


def case_of(job: Job) -> dict[str, Any]:
    """Return what the summary keeps of a finished pair."""
    result = read_record(job.folder / RESULT) or {}
    return {
        "name": job.name,
        "seconds": sum(result.get("seconds", {}).values()) or None,
        "figures": result.get("figures", {}),
        "labels": result.get("labels", {}),
        "warnings": quality_warnings(result),
    }


def words(told: Mapping[str, Any], folder: Path) -> str:
    """Return in a few lines what came out of a run."""
    lines = [f"{told['finished']} of {told['pairs']} pairs are registered"]
    lines += [f"failed: {row['name']}: {row['reason']}" for row in told["failed"]]
    if told["missing"]:
        lines.append(f"not done: {len(told['missing'])}")
    for name in COMPARED:
        row = told["summary"].get(name)
        if row is not None:
            lines.append(f"{name}: {row['mean']:.4g}")
    return "\n".join([*lines, f"written to {folder}"])


def table(told: Mapping[str, Any]) -> str:
    """Return the pairs as CSV, in the dataset's order of each kind: finished, failed, missing."""
    names = list(dict.fromkeys(name for case in told["cases"] for name in case["figures"]))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["name", "state", "reason", "seconds", *names])
    for case in told["cases"]:
        figures = (case["figures"].get(name) for name in names)
        reason = " ".join(case["warnings"])
        writer.writerow([case["name"], "finished", reason, case["seconds"], *figures])
    for row in told["failed"]:
        writer.writerow([row["name"], "failed", row["reason"]])
    for name in told["missing"]:
        writer.writerow([name, "missing"])
    return out.getvalue()


def worst_first(cases: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Order cases: those with quality warnings first, then by the key figure that all have."""
    name = key_figure(*(case["figures"] for case in cases))

    def place(case: Mapping[str, Any]) -> tuple[int, float]:
        value = case["figures"][name] * COMPARED[name].better if name else 0.0
        return -len(case["warnings"]), value

    return sorted(cases, key=place)


def page(told: Mapping[str, Any], folder: Path) -> str:
    """Return report.html: what failed, the summary, then every pair, the worst first."""
    cases = worst_first(told["cases"])
    cards = [
        {
            "name": case["name"],
            "warnings": case["warnings"],
            "tiles": tiles(case["figures"]),
            "link": f"{case['name']}/report.html" if _has_report(folder, case["name"]) else "",
            "picture": picture(folder / case["name"] / THUMBNAIL) if k < PICTURES else "",
        }
        for k, case in enumerate(cases)
    ]
    return render(
        "cohort.html.j2",
        title=f"{told['finished']} of {told['pairs']} pairs, registered with {told['model']}",
        subtitle=f"{told['dataset']}, split {told['split']}, plan {told['plan']['name']}",
        failed=told["failed"],
        missing=told["missing"],
        with_warnings=sum(bool(case["warnings"]) for case in cases),
        keys=("", "pairs", "mean before", "mean after", "95 % interval", "median", "smallest",
              "largest"),
        rows=summary_rows(told["summary"]),
        cards=cards,
    )  # fmt: skip


def _has_report(folder: Path, name: str) -> bool:
    return (folder / name / "report.html").is_file()


def picture(path: Path) -> str:
    """Return a thumbnail as base64; nothing if there is none."""
    return base64.b64encode(path.read_bytes()).decode() if path.is_file() else ""


def summary_rows(rows: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Return the figures of a run as rows of text, those with a before and an after first."""
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
