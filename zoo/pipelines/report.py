"""Write the reports of finished registrations again, from the files of their folders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import torch

from zoo.datasets.pairs import load_pair
from zoo.errors import UserError
from zoo.evaluation.cases import case_of_result
from zoo.evaluation.documents import read_result
from zoo.evaluation.metrics import require_finite
from zoo.geometry import Grid, Transform
from zoo.handlers.output_files import RESULT, UNCERTAINTY
from zoo.io.atomic import write_json
from zoo.io.json_documents import report_missing_keys
from zoo.io.transforms import read_transform
from zoo.io.volume import read_volume
from zoo.pipelines.run_folder import results_of
from zoo.registration.result import RegisteredPair

REPORT_FILES = ("report.html", "report.png")


def write_reports(
    folder: str | PathLike[str], *, kind: Literal["full", "light"] = "full"
) -> Iterator[Path]:
    """Write report.html and report.png of finished registrations; yield each page once written.

    Args:
        folder: The results of one registration, or the folder of a run, whose pairs all get a
            report. A model of one's own stands for the run in its folder.
        kind: full, with the interactive viewer, or light, pictures only.
    """
    root = results_of(folder)
    one = (root / RESULT).is_file()
    folders = [root] if one else sorted(path.parent for path in root.glob(f"*/{RESULT}"))
    if not folders:
        raise UserError(
            f"there is no {RESULT} in {root} or in the folders inside it; give the output folder "
            "of regzoo register or regzoo run"
        )
    for each in folders:
        yield _write_report(each, kind)


def _write_report(folder: Path, kind: Literal["full", "light"]) -> Path:
    """Write the report of the registration in `folder` and return the page."""
    from zoo.reporting.report import write_report

    file = folder / RESULT
    result = read_result(file)
    with report_missing_keys(file):
        registration = finished_registration(folder, result)
        write_report(registration, result, folder, kind=kind)
        listed = list(result["files"])
    if missing := [name for name in REPORT_FILES if name not in listed]:
        write_json(file, result | {"files": sorted([*listed, *missing])})
    return folder / REPORT_FILES[0]


def finished_registration(folder: Path, result: Mapping[str, Any]) -> RegisteredPair:
    """Return the registration in `folder`, read from its images and its transform.

    `result` is the content of its result.json.
    """
    case = case_of_result(folder)
    pair = load_pair(case.files, read=partial(read_volume, volume=result.get("volume")))
    fixed = pair.fixed.grid
    transform = read_transform(case.field, fixed, pair.moving[0].grid)
    require_finite(transform, str(case.field))
    if transform.grid is not None and not transform.grid.same_as(fixed, tolerance=0.1):
        raise UserError(
            f"{pair.fixed.path} ({fixed.describe()}) does not have the grid of {case.field} "
            f"({transform.grid.describe()}): it has changed since the registration; register the "
            "pair again"
        )
    affine = _initial_affine(folder, result)
    uncertainty = folder / UNCERTAINTY
    return RegisteredPair(
        pair,
        split_affine(transform, affine, fixed),
        uncertainty=read_volume(uncertainty).data if uncertainty.is_file() else None,
    )


def split_affine(transform: Transform, affine: torch.Tensor, grid: Grid) -> Transform:
    """Return the same map on `grid` with this initial affine alignment, 4x4 RAS+ mm, split off.

    The report shows the moving image after the alignment, and the displacement without it. The
    files of a transform hold both together.
    """
    rest = transform.then(Transform(torch.linalg.inv(affine)), grid).dense_on(grid)
    return Transform(affine, rest.field, rest.grid)


def _initial_affine(folder: Path, result: Mapping[str, Any]) -> torch.Tensor:
    """Return the initial affine alignment that result.json states; the identity without one."""
    stated = (result.get("affine_start") or {}).get("matrix_ras")
    if stated is None:
        return torch.eye(4, dtype=torch.float64)
    try:
        matrix = Transform(torch.tensor(stated, dtype=torch.float64)).affine
        torch.linalg.inv(matrix)
    except (TypeError, ValueError, RuntimeError):
        raise UserError(
            f"affine_start.matrix_ras in {folder / RESULT} is not an invertible 4x4 matrix; "
            "register the pair again"
        ) from None
    return matrix
