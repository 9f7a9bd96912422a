"""`regzoo evaluate`: the figures of registrations, from this or any other program."""

from __future__ import annotations

from typing import Literal


def evaluate(
    folder: str | None = None,
    *,
    field: str | None = None,
    fixed: str | None = None,
    moving: str | None = None,
    fixed_labels: str | None = None,
    moving_labels: str | None = None,
    fixed_points: str | None = None,
    moving_points: str | None = None,
    points_space: Literal["ras", "lps", "voxel"] | None = None,
    pairs: str | None = None,
    dataset: str | None = None,
    split: Literal["train", "val", "test", "all"] | None = None,
    out: str | None = None,
    submission: str | None = None,
    half: bool = False,
) -> None:
    """Measure how good registrations are.

    Takes what `regzoo register` or `regzoo run` wrote, or one field of any program, or a folder of
    fields with a dataset or a table of the pairs. Writes the figures of every case and
    their summary as JSON, and a table beside it as CSV.

    Examples:
        regzoo evaluate result
        regzoo evaluate --field warp.nii.gz --fixed f.nii.gz --moving m.nii.gz --out figures.json
        regzoo evaluate fields --dataset study/dataset.json --split val --out figures.json
        regzoo evaluate fields --pairs pairs.csv --out figures.json --submission submission.zip

    Args:
        folder: an output folder of a pair, a folder of such folders, or a folder of fields.
        field: one transform file: ITK, ANTs, Slicer, BIDS or Learn2Reg.
        fixed: the fixed image of --field.
        moving: the moving image of --field.
        fixed_labels: label map on the fixed image, for Dice and HD95.
        moving_labels: label map on the moving image.
        fixed_points: CSV of landmarks in the fixed image, for the error in mm.
        moving_points: the same places in the moving image.
        points_space: what the landmarks are in: ras (mm), lps (mm) or voxel.
        pairs: CSV with the columns fixed and moving, and if known fixed_labels, moving_labels,
            fixed_points, moving_points, points_space and field; paths relative to it.
        dataset: a dataset.json or its folder, whose pairs the folder holds fields of: called after
            both images, or as Learn2Reg does.
        split: which pairs of --dataset: train, val (by default), test or all.
        out: the JSON file to write; by default figures.json in the folder.
        submission: write the fields for Learn2Reg into this folder or .zip as well.
        half: for --submission: .npz of half size and half precision.
    """
    from pathlib import Path

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

    if sum(given is not None for given in (folder or pairs, field)) != 1:
        raise UserError("give a folder, or --field with --fixed and --moving; see --help")
    loose = (fixed, moving, fixed_labels, moving_labels, fixed_points, moving_points, points_space)
    if field is None and any(value is not None for value in loose):
        raise UserError("--fixed, --moving, labels and points belong to --field; see --help")
    if dataset is not None and (folder is None or pairs is not None):
        raise UserError("--dataset goes with a folder of fields, and without --pairs; see --help")
    if split is not None and dataset is None:
        raise UserError(f"--split {split} belongs to --dataset; see --help")
    if field is not None:
        files = pair_files(
            fixed,
            moving,
            fixed_labels=fixed_labels,
            moving_labels=moving_labels,
            fixed_points=fixed_points,
            moving_points=moving_points,
            points_space=points_space,
        )
        cases = [Case(files, Path(field))]
    elif dataset is not None:
        cases = cases_of_dataset(Path(dataset), split or "val", Path(str(folder)))
    elif pairs is not None:
        cases = cases_of_table(Path(pairs), Path(folder) if folder else None)
    else:
        cases = cases_of_run(Path(str(folder)))
    if out is None and folder is None:
        raise UserError("say where the figures go with --out FILE.json")
    target = Path(out) if out is not None else Path(str(folder)) / "figures.json"
    result = evaluation([evaluate_case(case) for case in cases])
    write_evaluation(target, result)
    print(table(result["summary"]))
    print(f"{len(cases)} case{'s' if len(cases) > 1 else ''}; written to {target}")
    if submission is not None:
        names = write_submission(cases, Path(submission), half=half)
        print(f"{len(names)} Learn2Reg fields written to {submission}")


def table(summary: dict[str, dict[str, float | None]]) -> str:
    """Return a summary as lines of text: figure, mean, interval."""
    width = max(map(len, summary))
    lines = []
    for name, row in summary.items():
        interval = ""
        if row["mean_low"] is not None:
            interval = f"  [{row['mean_low']:.4g}, {row['mean_high']:.4g}]"
        lines.append(f"{name:<{width}}  {row['mean']:.4g}{interval}")
    return "\n".join(lines)
