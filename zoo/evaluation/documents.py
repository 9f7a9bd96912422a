"""The JSON and CSV files of an evaluation."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.io.atomic import write_json, write_text
from zoo.io.files import existing_file


def read_result(path: Path) -> dict[str, Any]:
    """Read a JSON file that a registration or an evaluation wrote."""
    try:
        result = json.loads(existing_file(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} is not valid JSON ({error}); run the registration or the evaluation again"
        ) from error
    if not isinstance(result, dict):
        raise UserError(
            f"{path} contains a {type(result).__name__} instead of a JSON object; give a file that "
            "`regzoo register`, `regzoo run` or `regzoo evaluate` wrote"
        )
    return result


def total_seconds(result: Mapping[str, Any]) -> float | None:
    """Return the time of a registration from its result.json, summed over the stages."""
    return sum(result.get("seconds", {}).values()) or None


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
        writer.writerow([case["name"], case["seconds"], *figures])
    write_text(path.with_suffix(".csv"), out.getvalue())
