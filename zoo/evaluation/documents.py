"""The JSON and CSV files of an evaluation."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.io.atomic import write_json, write_text
from zoo.io.csv_rows import cell_text
from zoo.io.json_documents import read_json_object
from zoo.io.limits import MAX_RESULTS_BYTES


def read_result(path: Path) -> dict[str, Any]:
    """Read a JSON file that a registration or an evaluation wrote."""
    return read_json_object(path, MAX_RESULTS_BYTES)


def total_seconds(result: Mapping[str, Any]) -> float | None:
    """Return the time of a registration from its result.json, summed over the stages."""
    stages = result.get("seconds")
    seconds = list(stages.values()) if isinstance(stages, dict) else []
    return sum(seconds) or None if all(map(is_number, seconds)) else None


def is_number(value: Any) -> bool:
    """Return whether a value of a JSON file is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def write_evaluation(path: Path, result: Mapping[str, Any]) -> None:
    """Write an evaluation as `path` (.json), and its cases as a table (.csv) with the same name."""
    if path.suffix != ".json":
        raise UserError(f"--out {path} must end in .json; the table is written beside it as .csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, result)
    names = list(dict.fromkeys(name for case in result["cases"] for name in case["figures"]))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["name", "seconds", *names])
    for case in result["cases"]:
        figures = (case["figures"].get(name) for name in names)
        writer.writerow([cell_text(case["name"]), case["seconds"], *figures])
    write_text(path.with_suffix(".csv"), out.getvalue())
