"""Evaluate registrations of this or any other program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from zoo.datasets.pairs import pair_files
from zoo.errors import UserError
from zoo.evaluation import (
    Case,
    cases_of_dataset,
    cases_of_run,
    cases_of_table,
    evaluate_case,
    evaluation,
    write_evaluation,
    write_submission,
)
from zoo.pipelines.run_folder import results_of

File = str | PathLike[str]


@dataclass(frozen=True)
class Evaluation:
    """The figures of registrations.

    `summary` holds statistics of each figure over the cases, and `cases` the figures of each case.
    `file` is where they were written, and `submission` names the Learn2Reg fields that were
    written.
    """

    summary: dict[str, Any]
    cases: list[dict[str, Any]]
    file: Path | None = None
    submission: tuple[str, ...] = ()


def evaluate(
    folder: File | None = None,
    *,
    field: File | None = None,
    fixed: File | None = None,
    moving: File | None = None,
    fixed_labels: File | None = None,
    moving_labels: File | None = None,
    fixed_points: File | None = None,
    moving_points: File | None = None,
    points_space: Literal["ras", "lps", "voxel"] | None = None,
    pairs: File | None = None,
    dataset: File | None = None,
    split: Literal["train", "val", "test", "all"] | None = None,
    out: File | None = None,
    submission: File | None = None,
    half: bool = False,
) -> Evaluation:
    """Measure the accuracy and the regularity of registrations.

    Args:
        folder: The results of one registration or of a run, or a folder of transforms that
            `dataset` or `pairs` assigns to images. A model of one's own, by its folder or by name,
            stands for the run in its folder.
        field: One transform file: ITK, ANTs, Slicer, BIDS or Learn2Reg.
        fixed: The fixed image of `field`.
        moving: The moving image of `field`.
        fixed_labels: A label map of the fixed image, for Dice and HD95.
        moving_labels: A label map of the moving image.
        fixed_points: A CSV with landmarks of the fixed image, one per row, for the landmark error.
        moving_points: A CSV with the corresponding landmarks of the moving image.
        points_space: The coordinates of the landmarks: ras (mm, the default), lps (mm) or voxel.
        pairs: A CSV with the columns fixed and moving, and optionally fixed_labels, moving_labels,
            fixed_points, moving_points, points_space and field. Paths are relative to the CSV.
        dataset: A dataset.json or its folder, whose pairs the transforms in `folder` register.
        split: The pairs of `dataset`: train, val (the default), test or all.
        out: The JSON file to write. The default is figures.json in `folder`; without `folder`
            nothing is written.
        submission: A folder or a .zip to which the fields are written for Learn2Reg.
        half: Write the fields of `submission` at half the size in half precision (.npz).
    """
    images = {
        "fixed": fixed,
        "moving": moving,
        "fixed_labels": fixed_labels,
        "moving_labels": moving_labels,
        "fixed_points": fixed_points,
        "moving_points": moving_points,
        "points_space": points_space,
    }
    _check_combination(folder, field, images, pairs, dataset, split)
    folder = None if folder is None else results_of(folder)
    file = None if out is None else Path(out)
    if file is None and folder is not None:
        file = Path(folder) / "figures.json"
    if field is not None:
        cases = [Case(pair_files(**images), Path(field))]
    elif dataset is not None:
        cases = cases_of_dataset(Path(dataset), split or "val", Path(str(folder)))
    elif pairs is not None:
        cases = cases_of_table(Path(pairs), Path(folder) if folder else None)
    else:
        cases = cases_of_run(Path(str(folder)))
    result = evaluation([evaluate_case(case) for case in cases])
    if file is not None:
        write_evaluation(file, result)
    names = [] if submission is None else write_submission(cases, Path(submission), half=half)
    return Evaluation(result["summary"], result["cases"], file, tuple(names))


def _check_combination(
    folder: File | None,
    field: File | None,
    images: Mapping[str, Any],
    pairs: File | None,
    dataset: File | None,
    split: str | None,
) -> None:
    """Raise `UserError` if the arguments do not name one set of registrations."""
    if dataset is not None and (folder is None or pairs is not None):
        raise UserError(
            "--dataset assigns the transforms in a folder to pairs; give that folder, and leave "
            "--pairs out"
        )
    if field is None and folder is None and pairs is None:
        raise UserError(
            "nothing to evaluate was given; give a folder of results, or --field with --fixed and "
            "--moving"
        )
    if field is not None and (folder is not None or pairs is not None):
        other = "a folder" if folder is not None else "--pairs"
        raise UserError(f"--field is one transform and cannot be combined with {other}")
    given = [name for name, value in images.items() if value is not None]
    if field is None and given:
        flag = "--" + given[0].replace("_", "-")
        raise UserError(
            f"{flag} describes the images of one transform; add that transform with --field"
        )
    if split is not None and dataset is None:
        raise UserError(f"--split {split} selects pairs of a dataset; add --dataset")
