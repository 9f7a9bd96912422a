"""The cases of an evaluation: which transform belongs to which pair of images.

The transforms may come from this program or from any other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args

from zoo.datasets.pairs import PairFiles, pair_files, unique_pair_names
from zoo.datasets.reading import read_dataset
from zoo.datasets.schema.table import read_pair_table
from zoo.errors import UserError
from zoo.evaluation.documents import read_result, total_seconds
from zoo.evaluation.learn2reg_names import find_learn2reg_field
from zoo.io.bids import PATTERN
from zoo.io.points import Space
from zoo.io.remote import is_url
from zoo.io.transforms import TRANSFORM_SUFFIXES

FIELD_NAMES = ("transform.nii.gz", "transform.h5")
INVERSE_NAMES = ("inverse.nii.gz", "inverse.h5")


@dataclass(frozen=True)
class Case:
    """A pair and the file of its transform.

    `seconds` is the time that the registration took, if it is known. Without a `name` the case is
    named after its images.
    """

    files: PairFiles
    field: Path
    inverse: Path | None = None
    seconds: float | None = None
    name: str | None = None


def case_of_result(folder: Path) -> Case:
    """Return the case that a registration wrote into `folder`."""
    result = read_result(folder / "result.json")
    given = {f.name: result[f.name] for f in fields(PairFiles) if result.get(f.name) is not None}
    for value in given.values():
        if urls := [
            path for path in (value if isinstance(value, list) else [value]) if is_url(path)
        ]:
            raise UserError(
                f"{folder} was made from {urls[0]}; download the files, and register them again or "
                f"write their local names into {folder / 'result.json'}"
            )
    bids = result.get("bids") or {}
    field, inverse = (
        _first_file(folder, [*names, *_bids_names(bids, names)])
        for names in (FIELD_NAMES, INVERSE_NAMES)
    )
    if field is None:
        raise UserError(
            f"{folder} contains neither {' nor '.join(FIELD_NAMES)}; register the pair again"
        )
    return Case(pair_files(**given), field, inverse, total_seconds(result))


def _bids_names(renamed: Any, names: Sequence[str]) -> list[str]:
    """Return the BIDS names of files in result.json; other names are ignored, such as ../x."""
    found = [renamed.get(name) for name in names] if isinstance(renamed, dict) else []
    return [name for name in found if isinstance(name, str) and re.fullmatch(PATTERN, name)]


def cases_of_run(folder: Path) -> list[Case]:
    """Return the cases in the output folder of one pair, or in a folder of such folders."""
    if (folder / "result.json").is_file():
        return [case_of_result(folder)]
    pair_folders = sorted(path.parent for path in folder.glob("*/result.json"))
    if not pair_folders:
        raise UserError(
            f"there is no result.json in {folder} or in the folders inside it; give the output "
            "folder of `regzoo register` or `regzoo run`, or name the pairs of the fields with "
            "--dataset or --pairs"
        )
    return [replace(case_of_result(path), name=path.name) for path in pair_folders]


def cases_of_dataset(dataset: Path, split: str, folder: Path) -> list[Case]:
    """Return the cases of a dataset's split whose fields are in `folder`.

    The field of a pair is PAIR/transform.nii.gz (or .h5), as a run writes it, or PAIR with any
    suffix in `TRANSFORM_SUFFIXES`, or a Learn2Reg field. PAIR is FIXED_MOVING, the names of both
    images.
    """
    files = [pair_files(**mapping) for mapping in read_dataset(dataset).pairs(split)]
    names = unique_pair_names(files)
    return [_case_in(folder, name, pair) for name, pair in zip(names, files, strict=True)]


def _case_in(folder: Path, name: str, files: PairFiles) -> Case:
    """Return the case of a pair whose field is in `folder`."""
    own = folder / name
    field = _first_file(own, FIELD_NAMES)
    if field is not None:
        path = own / "result.json"
        seconds = total_seconds(read_result(path)) if path.is_file() else None
        return Case(files, field, _first_file(own, INVERSE_NAMES), seconds, name)
    suffixes = dict.fromkeys(
        suffix for several in TRANSFORM_SUFFIXES.values() for suffix in several
    )
    field = _first_file(folder, [name + suffix for suffix in suffixes])
    return Case(
        files, field or find_learn2reg_field(folder, files.fixed, files.moving[0]), name=name
    )


def _first_file(folder: Path, names: Sequence[str]) -> Path | None:
    """Return the first of `names` that is a file in `folder`."""
    return next((folder / name for name in names if (folder / name).is_file()), None)


def cases_of_table(table: Path, folder: Path | None = None) -> list[Case]:
    """Return the cases of a CSV file with the columns fixed and moving.

    The columns field, fixed_labels, moving_labels, fixed_mask, moving_mask, fixed_points,
    moving_points and points_space are optional. Paths are relative to the CSV file. Without a
    column field, the Learn2Reg fields disp_FIXED_MOVING.nii.gz or .npz in `folder` are used.
    """
    rows = read_pair_table(table, ("field",))
    if not rows:
        raise UserError(f"{table} contains no pairs; add a line with fixed and moving per pair")
    cases = [_case_of_row(row, f"{table}, line {line}", table, folder) for line, row in rows]
    names = unique_pair_names([case.files for case in cases])
    return [replace(case, name=name) for case, name in zip(cases, names, strict=True)]


def _case_of_row(row: dict[str, str], where: str, table: Path, folder: Path | None) -> Case:
    field = row.pop("field", None)
    if missing := {"fixed", "moving"} - row.keys():
        raise UserError(f"{where} has no {min(missing)} image; fill in the column {min(missing)}")
    if (space := row.get("points_space", "ras")) not in get_args(Space):
        known = ", ".join(get_args(Space))
        raise UserError(f"{where} has the points_space {space!r}; use one of {known}")
    several = [str(table.parent / part.strip()) for part in row.pop("moving").split(",")]
    given = {k: v if k == "points_space" else str(table.parent / v) for k, v in row.items()}
    files = pair_files(moving=several, **given)
    if field is not None:
        return Case(files, table.parent / field)
    if folder is None:
        raise UserError(
            f"{where} names no field; fill in the column field, or give the folder of the fields"
        )
    return Case(files, find_learn2reg_field(folder, files.fixed, files.moving[0]))
