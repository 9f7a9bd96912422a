"""The names of the files that a registration writes into its folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, get_args

from zoo.datasets.pairs import PairFiles
from zoo.errors import UserError
from zoo.evaluation.learn2reg_names import learn2reg_name
from zoo.io.bids import PATTERN
from zoo.io.json_documents import read_json_object

RESULT, PLAN, UNCERTAINTY = "result.json", "plan.json", "uncertainty.nii.gz"

Report = Literal["full", "light", "none"]
"""full: a page with the interactive viewer; light: a page of pictures; none: no report."""

OUTPUT_FILES = (
    *(RESULT, "transform.nii.gz", "transform.h5", "inverse.nii.gz", "inverse.h5"),
    *("warped.nii.gz", "warped_labels.nii.gz", UNCERTAINTY, "report.html", "report.png"),
)
"""The files that any registration may write."""

_NAMES = re.compile(
    "|".join(
        [
            *map(re.escape, (*OUTPUT_FILES, PLAN)),
            r"warped_[0-9]+\.nii\.gz",
            r"disp_[^/\\]*\.nii\.gz",
            PATTERN,
        ]
    )
)


def report_kind(value: Any) -> Report:
    """Return the kind of report that a setting asks for; true means full, and false means none."""
    if isinstance(value, bool):
        return "full" if value else "none"
    kind: Report
    for kind in get_args(Report):
        if value == kind:
            return kind
    raise UserError(f"report {value!r} is not known; use one of {', '.join(get_args(Report))}")


def previous_outputs(folder: Path) -> set[str]:
    """Return the names of the files in `folder` that an earlier registration wrote.

    These are the `files` of result.json. If an older version wrote it, they are the files with the
    names of outputs. A folder without result.json has no previous outputs, because its files may be
    somebody else's.
    """
    if not (folder / RESULT).is_file():
        return set()
    present = {path.name for path in folder.iterdir() if not path.is_dir()}
    outputs = {name for name in present if _NAMES.fullmatch(name)}
    listed = _listed_files(folder)
    if listed is not None:  # names of BIDS are in folders
        outputs |= {n for n in listed if _NAMES.fullmatch(n) and (folder / n).is_file()}
    return outputs - {PLAN} if listed is None else outputs & {*listed, RESULT}


def remove_previous_outputs(folder: Path) -> None:
    """Remove the files of an earlier registration, so that none is taken for one of this run.

    The plan stays, because it may be the one that is being used.
    """
    for name in previous_outputs(folder) - {PLAN}:
        (folder / name).unlink(missing_ok=True)


def possible_outputs(files: PairFiles) -> set[str]:
    """Return the names of all files that a registration of `files` may write."""
    more_moving = {f"warped_{k}.nii.gz" for k in range(2, len(files.moving) + 1)}
    return {*OUTPUT_FILES, PLAN, *more_moving, learn2reg_file(files.fixed, files.moving[0])}


def learn2reg_file(fixed: Path, moving: Path) -> str:
    """Return the name of the displacement field of a pair in the format of Learn2Reg."""
    return f"{learn2reg_name(fixed, moving)}.nii.gz"


def _listed_files(folder: Path) -> list[str] | None:
    """Return `files` of result.json; None if it is damaged or was written by an older version."""
    try:
        files = read_json_object(folder / RESULT).get("files")
    except (OSError, UserError):
        return None
    return [name for name in files if isinstance(name, str)] if isinstance(files, list) else None
