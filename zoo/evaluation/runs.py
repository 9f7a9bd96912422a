"""The runs that a comparison reads: the figures of every case of one method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.evaluation.documents import is_number, read_result, total_seconds

EVALUATION_FILES = ("figures.json", "evaluation.json", "summary.json")
"""The files that `regzoo evaluate`, a bundle's evaluate.json and `regzoo run` write for a run."""


@dataclass(frozen=True)
class Run:
    """The cases of one method by name: the figures of each, and its seconds where known."""

    name: str
    figures: Mapping[str, Mapping[str, float | None]]
    seconds: Mapping[str, float]


def read_run(path: Path) -> Run:
    """Read a run from an evaluation's JSON file, or from the output folder of registrations.

    If a folder contains several evaluations, the newest one is read.
    """
    cases = _read_cases(path)
    if not isinstance(cases, list) or not cases or not all(map(_is_case, cases)):
        raise UserError(f"{path} contains no figures; run `regzoo evaluate {path}` first")
    names = [case["name"] for case in cases]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise UserError(f"{path} has several cases called {min(repeated)}; evaluate it again")
    return Run(
        _name_of(path),
        {case["name"]: case["figures"] for case in cases},
        {case["name"]: case["seconds"] for case in cases if case.get("seconds")},
    )


def _is_case(case: Any) -> bool:
    """Return whether a value has a name, figures that are numbers or null, and such a time."""
    if not isinstance(case, dict) or not isinstance(case.get("name"), str):
        return False
    figures = case.get("figures")
    if not isinstance(figures, dict):
        return False
    return all(v is None or is_number(v) for v in (*figures.values(), case.get("seconds")))


def _read_cases(path: Path) -> Any:
    """Return the rows of an evaluation, or the results of the pairs in a folder."""
    if not path.is_dir():
        return read_result(path).get("cases")
    evaluations = [path / name for name in EVALUATION_FILES if (path / name).is_file()]
    if evaluations:
        return _read_cases(max(evaluations, key=lambda file: file.stat().st_mtime_ns))
    results = {file.parent.name: read_result(file) for file in sorted(path.glob("*/result.json"))}
    return [
        {**result, "name": name, "seconds": total_seconds(result)}
        for name, result in results.items()
    ]


def _name_of(path: Path) -> str:
    """Return the name of a run: that of its folder, or of a file with a name of its own."""
    if path.is_dir():
        return path.name
    return path.parent.name if path.name in EVALUATION_FILES else path.stem


def with_unique_names(runs: Sequence[Run]) -> list[Run]:
    """Return the runs with a number behind every name that several of them share."""
    names = [run.name for run in runs]
    return [
        replace(run, name=f"{run.name} ({k})") if names.count(run.name) > 1 else run
        for k, run in enumerate(runs, start=1)
    ]
