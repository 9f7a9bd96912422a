"""Evaluating maps of any origin: which files belong together, their figures, and a summary."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from zoo.datasets.names import stem
from zoo.datasets.pairs import PairFiles, load_pair, pair_files, unique_pair_names
from zoo.datasets.reading import read_dataset
from zoo.errors import UserError
from zoo.evaluation.learn2reg import QUANTILE30, learn2reg_figures, read_displacement
from zoo.evaluation.metrics import Figures, measure, require_finite
from zoo.io.atomic import write_json, write_text
from zoo.io.files import existing_file
from zoo.io.points import Space
from zoo.io.transforms import TRANSFORM_SUFFIXES, detect_format, read_transform

RESAMPLES = 2000
FIELD_NAMES = ("transform.nii.gz", "transform.h5")
INVERSE_NAMES = ("inverse.nii.gz", "inverse.h5")


@dataclass(frozen=True)
class Case:
    """A pair and the file of the map found for it; `seconds` is how long that took, if known.

    `name` is that of the images unless it is given.
    """

    files: PairFiles
    field: Path
    inverse: Path | None = None
    seconds: float | None = None
    name: str | None = None


def case_of_result(folder: Path) -> Case:
    """Return the case whose result.json lies in `folder`, as a registration writes it."""
    result = read_result(folder / "result.json")
    given = {f.name: result[f.name] for f in fields(PairFiles) if result.get(f.name) is not None}
    field = _first(folder, FIELD_NAMES)
    if field is None:
        raise UserError(f"{folder} has no {' or '.join(FIELD_NAMES)}; register the pair again")
    inverse = _first(folder, INVERSE_NAMES)
    seconds = sum(result.get("seconds", {}).values()) or None
    return Case(pair_files(**given), field, inverse, seconds)


def cases_of_run(folder: Path) -> list[Case]:
    """Return the cases of a pair's output folder, or of a folder of such folders."""
    if (folder / "result.json").is_file():
        return [case_of_result(folder)]
    found = sorted(path.parent for path in folder.glob("*/result.json"))
    if not found:
        raise UserError(
            f"{folder} holds no result.json, nor does a folder in it; give what `regzoo register` "
            "or `regzoo run` wrote, or say with --dataset or --pairs what its fields are of"
        )
    return [replace(case_of_result(path), name=path.name) for path in found]


def cases_of_dataset(dataset: Path, split: str, folder: Path) -> list[Case]:
    """Return the cases of a dataset's split, whose fields lie in `folder`, of any program.

    A pair's field is PAIR/transform.nii.gz (or .h5) as a run has it, PAIR with a suffix of
    `TRANSFORM_SUFFIXES`, or Learn2Reg's disp_FIXED_MOVING; PAIR is the names of both images.
    """
    files = [pair_files(**mapping) for mapping in read_dataset(dataset).pairs(split)]
    names = unique_pair_names(files)
    return [_case_in(folder, name, pair) for name, pair in zip(names, files, strict=True)]


def _case_in(folder: Path, name: str, files: PairFiles) -> Case:
    """Return the case of a pair with its field in `folder`."""
    own = folder / name
    field = _first(own, FIELD_NAMES)
    if field is not None:
        known = read_result(own / "result.json") if (own / "result.json").is_file() else {}
        seconds = sum(known.get("seconds", {}).values()) or None
        return Case(files, field, _first(own, INVERSE_NAMES), seconds, name)
    suffixes = dict.fromkeys(
        suffix for several in TRANSFORM_SUFFIXES.values() for suffix in several
    )
    field = _first(folder, [name + suffix for suffix in suffixes])
    return Case(files, field or learn2reg_file(folder, files), name=name)


def _first(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def cases_of_table(table: Path, folder: Path | None = None) -> list[Case]:
    """Return the cases of a CSV with the columns fixed and moving.

    Further columns may be field, fixed_labels, moving_labels, fixed_points, moving_points and
    points_space. Paths are relative to the CSV. Without a field column the fields are Learn2Reg's,
    disp_FIXED_MOVING.nii.gz or .npz in `folder`.
    """
    allowed = {"field", *(f.name for f in fields(PairFiles))}
    try:
        text = existing_file(table).read_text(encoding="utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""))
        names = [name.strip() for name in reader.fieldnames or []]
        found = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table} is not a table in UTF-8 ({error}); save it again") from error
    if not {"fixed", "moving"} <= set(names) or not set(names) <= allowed:
        raise UserError(
            f"{table} has the columns {', '.join(names)}; fixed and moving are needed, allowed "
            f"besides are {', '.join(sorted(allowed - {'fixed', 'moving'}))}"
        )
    rows: list[tuple[int, dict[str, str]]] = []
    for line, row in found:
        if None in row:
            raise UserError(f"{table}, line {line}: more cells than columns; quote what has commas")
        rows.append((line, {k.strip(): v.strip() for k, v in row.items() if v and v.strip()}))
    if not rows:
        raise UserError(f"{table} holds no pairs; give fixed and moving a row")
    cases = [_case_of_row(row, f"{table}, line {line}", table, folder) for line, row in rows]
    names = unique_pair_names([case.files for case in cases])
    return [replace(case, name=name) for case, name in zip(cases, names, strict=True)]


def _case_of_row(row: dict[str, str], where: str, table: Path, folder: Path | None) -> Case:
    field = row.pop("field", None)
    if missing := {"fixed", "moving"} - row.keys():
        raise UserError(f"{where}: no {min(missing)} image; fill in the column")
    if (space := row.get("points_space", "ras")) not in get_args(Space):
        known = ", ".join(get_args(Space))
        raise UserError(f"{where}: the points_space {space!r} is not known; use one of {known}")
    several = [str(table.parent / part.strip()) for part in row.pop("moving").split(",")]
    given = {k: v if k == "points_space" else str(table.parent / v) for k, v in row.items()}
    files = pair_files(moving=several, **given)
    if field is not None:
        return Case(files, table.parent / field)
    if folder is None:
        raise UserError(f"{table} has no column field; add it, or give the folder of the fields")
    return Case(files, learn2reg_file(folder, files))


def learn2reg_name(files: PairFiles) -> str:
    """Return disp_FIXED_MOVING as the challenge writes it: NAME_CASE_MOD without the NAME."""
    names = []
    for path in (files.fixed, files.moving[0]):
        parts = stem(path).split("_")
        numbered = len(parts) > 2 and all(p.isdigit() for p in parts[-2:])
        names.append("_".join(parts[-2:]) if numbered else stem(path))
    return "disp_" + "_".join(names)


def learn2reg_file(folder: Path, files: PairFiles) -> Path:
    """Return the Learn2Reg field of a pair in a folder.

    The challenge also takes names without the modalities where these are alike, or 0 and 1.
    """
    name = learn2reg_name(files)
    names = [name, f"disp_{stem(files.fixed)}_{stem(files.moving[0])}"]
    numbers = name.split("_")[1:]
    if len(numbers) == 4 and (numbers[1] == numbers[3] or numbers[1::2] == ["0000", "0001"]):
        names.append(f"disp_{numbers[0]}_{numbers[2]}")
    found = _first(folder, [n + suffix for n in names for suffix in (".nii.gz", ".npz")])
    if found is None:
        raise UserError(f"{folder} has no {name}.nii.gz or .npz; it should hold every pair's field")
    return found


def evaluate_case(case: Case) -> dict[str, Any]:
    """Return one case's row: its name, its field, its figures and those of its labels."""
    pair = load_pair(case.files)
    moving = pair.moving[0].grid
    transform = read_transform(case.field, pair.fixed.grid, moving)
    require_finite(transform, str(case.field))
    inverse = None
    if case.inverse is not None:
        inverse = read_transform(case.inverse, moving, pair.fixed.grid)
    measured = measure(pair, transform, inverse)
    challenge = detect_format(case.field) == "learn2reg"
    field = read_displacement(case.field, pair.fixed.grid.shape) if challenge else None
    return {
        "name": case.name or pair.name,
        "field": str(case.field),
        "seconds": case.seconds,
        "figures": measured.figures | learn2reg_figures(pair, transform, field),
        "labels": measured.labels,
    }


def evaluation(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the summary and the rows, as `write_evaluation` writes them."""
    return {"summary": summary([row["figures"] for row in rows]), "cases": list(rows)}


def summary(rows: Sequence[Figures]) -> dict[str, dict[str, float | int | None]]:
    """Return of each figure count, mean with its 95 % bootstrap interval, median and extremes.

    Learn2Reg's figures also come with the quantile that the challenge calls "30".
    """
    out: dict[str, dict[str, float | int | None]] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = np.array([v for row in rows if (v := row.get(name)) is not None], dtype=float)
        if not len(values):
            continue
        low, high = bootstrap_interval(values)
        out[name] = {
            "n": len(values),
            "mean": float(values.mean()),
            "mean_low": low,
            "mean_high": high,
            "median": float(np.median(values)),
            "smallest": float(values.min()),
            "largest": float(values.max()),
        }
        if name in QUANTILE30:
            out[name]["30"] = float(np.quantile(values, QUANTILE30[name]))
    return out


def bootstrap_interval(values: np.ndarray) -> tuple[float | None, float | None]:
    """Return the 95 % percentile interval of the mean; the same values give the same interval."""
    if len(values) < 2:
        return None, None
    random = np.random.default_rng(0)
    means = values[random.integers(len(values), size=(RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def write_evaluation(path: Path, result: Mapping[str, Any]) -> None:
    """Write an evaluation as `path` (.json) and, one case a row, beside it as .csv."""
    if path.suffix != ".json":
        raise UserError(f"--out {path} must end in .json; the table goes beside it as .csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, result)
    names = list(dict.fromkeys(name for case in result["cases"] for name in case["figures"]))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["name", "seconds", *names])
    for case in result["cases"]:
        writer.writerow(
            [case["name"], case["seconds"], *(case["figures"].get(name) for name in names)]
        )
    write_text(path.with_suffix(".csv"), out.getvalue())


def read_result(path: Path) -> dict[str, Any]:
    """Read a JSON file that a registration or an evaluation wrote."""
    try:
        result = json.loads(existing_file(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not JSON ({error}); make it again") from error
    if not isinstance(result, dict):
        raise UserError(f"{path} holds {type(result).__name__}, not the figures of a registration")
    return result
