"""`regzoo evaluate`: the figures of registrations, from this or any other program."""

from __future__ import annotations

from collections.abc import Mapping
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
    """Measure the accuracy and the regularity of registrations.

    The input is the output folder of regzoo register or regzoo run, one transform of any program,
    or a folder of transforms with a dataset or a table that lists the pairs. The figures of every
    case and their summary are written as JSON, and a table of the figures as CSV next to it.

    Examples:
        regzoo evaluate result
        regzoo evaluate --field warp.nii.gz --fixed f.nii.gz --moving m.nii.gz --out figures.json
        regzoo evaluate fields --dataset study/dataset.json --split val --out figures.json
        regzoo evaluate fields --pairs pairs.csv --out figures.json --submission submission.zip

    Args:
        folder: The output folder of one pair, a folder of such folders, or a folder of transforms.
            A model of your own, by its folder or by name, stands for the run in its folder.
        field: One transform file: ITK, ANTs, Slicer, BIDS or Learn2Reg.
        fixed: The fixed image of --field.
        moving: The moving image of --field.
        fixed_labels: A label map of the fixed image, for Dice and HD95.
        moving_labels: A label map of the moving image.
        fixed_points: Landmarks of the fixed image, for the landmark error in mm: a CSV with one
            per row, markups (.mrk.json) or .fcsv of 3D Slicer, or .vtk or .vtp.
        moving_points: The corresponding landmarks of the moving image, in the same order.
        points_space: The coordinates of the landmarks: ras (mm, the default), lps (mm) or voxel. A
            space that the file records is used instead.
        pairs: A CSV with the columns fixed and moving, and optionally fixed_labels, moving_labels,
            fixed_points, moving_points, points_space and field. Paths are relative to the CSV.
        dataset: A dataset.json or its folder, whose pairs the transforms in the folder register.
            They are named after both images, or as in Learn2Reg.
        split: The pairs of --dataset: train, val (the default), test or all.
        out: The JSON file to write. The default is figures.json in the folder.
        submission: A folder or a .zip to which the fields are written for Learn2Reg.
        half: Write the fields of --submission at half the size in half precision (.npz).
    """
    from zoo.commands._shared import counted
    from zoo.errors import UserError
    from zoo.pipelines.evaluate import evaluate as run_evaluation

    if out is None and folder is None and (field is not None or pairs is not None):
        raise UserError("add --out FILE.json to name the file for the figures")
    evaluation = run_evaluation(
        folder,
        field=field,
        fixed=fixed,
        moving=moving,
        fixed_labels=fixed_labels,
        moving_labels=moving_labels,
        fixed_points=fixed_points,
        moving_points=moving_points,
        points_space=points_space,
        pairs=pairs,
        dataset=dataset,
        split=split,
        out=out,
        submission=submission,
        half=half,
    )
    print(table(evaluation.summary))
    print(f"Figures of {counted(len(evaluation.cases), 'case')} written to {evaluation.file}")
    if submission is not None:
        written = counted(len(evaluation.submission), "Learn2Reg field")
        print(f"{written} written to {submission}")


def table(summary: Mapping[str, Mapping[str, float | None]]) -> str:
    """Return a summary as text: each figure with its mean and 95 % interval, one per line."""
    width = max(map(len, summary))
    lines = []
    for name, row in summary.items():
        interval = ""
        if row["mean_low"] is not None:
            interval = f"  [{row['mean_low']:.4g}, {row['mean_high']:.4g}]"
        lines.append(f"{name:<{width}}  {row['mean']:.4g}{interval}")
    return "\n".join(lines)
