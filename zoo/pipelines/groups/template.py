"""Make a template: the mean shape and the mean appearance of a group of images.

Every iteration registers all images to the current template, averages them, and composes the
average with the inverse of the mean map, as in Avants et al. (2010) and Joshi et al. (2004).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from zoo.atlases import LabelVotes
from zoo.cohorts.jobs import STATE_FOLDER, locked_run_folder
from zoo.datasets.pairs import PairFiles
from zoo.errors import UserError
from zoo.geometry import Grid, Transform, invert, jacobian_determinant, warp
from zoo.geometry.jacobian import folding_percent
from zoo.handlers.provenance import peak_memory_mib, versions
from zoo.io.atomic import write_json
from zoo.io.json_documents import read_json_object
from zoo.io.labels import read_labels, smallest_type
from zoo.io.transforms import write_transform
from zoo.io.volume import write_volume
from zoo.pipelines.groups.iteration import (
    TEMPLATE,
    Averaging,
    Stage,
    Update,
    first_average,
    next_average,
    registered_update,
    remove_registrations,
)
from zoo.pipelines.groups.members import read_group
from zoo.pipelines.groups.options import TemplateOptions
from zoo.pipelines.groups.registrations import (
    Engine,
    GroupResult,
    distribution_of,
    output_folder,
    plan_of_group,
)
from zoo.pipelines.groups.subjects import Subject, subjects_of
from zoo.planning.plan import Plan
from zoo.runtime.output_folder import staged_outputs
from zoo.runtime.overwriting import refuse_overwriting
from zoo.runtime.signals import Stopped, StopSignal

DOCUMENT, LABELS, CONFIDENCE = "template.json", "labels.nii.gz", "labels_confidence.nii.gz"
ITERATIONS, TRANSFORMS = "iterations", "transforms"


def make_template(
    options: TemplateOptions, *, report: Callable[[str], None] | None = None
) -> GroupResult:
    """Make a template and write it with the transforms of all subjects into `options.out`.

    Registrations and iterations whose inputs have not changed are not computed again, so that the
    same request resumes. `report` is called with lines about the progress.
    """
    folder = output_folder(options.out)
    _check(options)
    distribution = distribution_of(options)
    group = read_group(options.dataset)
    if len(group.members) < 2:
        raise UserError(
            f"{options.dataset} has {len(group.members)} images, and a template needs at least 2"
        )
    subjects = subjects_of(group.members)
    inputs = {f"the image of {s.name}": s.image for s in subjects}
    inputs |= {f"the labels of {s.name}": s.labels for s in subjects if s.labels is not None}
    refuse_overwriting(inputs, [folder / name for name in (TEMPLATE, LABELS, CONFIDENCE)])
    plan = plan_of_group(options, group, PairFiles(subjects[0].image, (subjects[1].image,)))
    (folder / STATE_FOLDER).mkdir(parents=True, exist_ok=True)
    with StopSignal() as stop, locked_run_folder(folder):
        engine = Engine(plan, distribution, stop, report)
        averaging = Averaging(engine, subjects, not in_absolute_units(plan), options.sharpen)
        try:
            document = _make(averaging, folder, options)
        except Stopped:
            return GroupResult(folder, {}, stop.number)
    return GroupResult(folder, document)


def in_absolute_units(plan: Plan) -> bool:
    """Return whether intensities have a meaning of their own, as those of CT do."""
    beliefs = plan["plan"]["beliefs"]
    fixed = next(name for name in beliefs if name.endswith("(fixed)"))
    return bool(beliefs[fixed]["value"] == "ct")


def _check(options: TemplateOptions) -> None:
    if options.iterations < 1:
        raise UserError(f"--iterations {options.iterations} must be 1 or more; 4 is the default")
    if options.spacing is not None and not 0 < options.spacing < 100:
        raise UserError(f"--spacing {options.spacing:g} must be a voxel size in mm, such as 1")


def _make(averaging: Averaging, folder: Path, options: TemplateOptions) -> dict[str, Any]:
    """Compute all iterations, and write the results of the last one."""
    started = time.perf_counter()
    say = averaging.engine.say
    stages = [first_average(averaging, folder / ITERATIONS / "0", options.spacing)]
    say(f"iteration 0: sharpness {stages[0].record['sharpness']:.4f}")
    for number in range(1, options.iterations + 1):
        stage = next_average(averaging, stages[-1], folder / ITERATIONS / str(number))
        stages.append(stage)
        say(f"iteration {number}: {stage_text(stage.record)}")
        if number < options.iterations:
            remove_registrations(stage.folder)
    known = _finished_document(folder, stages[-1].digest)
    if known is None:
        update = registered_update(averaging, stages[-2], stages[-1].folder)
        with staged_outputs(folder, previous_template, marker=DOCUMENT) as staged:
            known = _write(averaging, stages, update, staged)
            known["seconds"] = round(time.perf_counter() - started, 3)
            names = [p.relative_to(staged).as_posix() for p in staged.rglob("*") if p.is_file()]
            known["files"] = sorted([*names, DOCUMENT])
            write_json(staged / DOCUMENT, known)
    remove_registrations(stages[-1].folder)
    return known


def stage_text(record: Mapping[str, Any]) -> str:
    """Return the figures of an iteration in one line."""
    return (
        f"change {record['change']:.3f}, distance from the mean shape {record['bias_mm']:.3f} mm, "
        f"sharpness {record['sharpness']:.4f}, folding {record['folding_percent_mean']:.3g} %"
    )


def previous_template(folder: Path) -> set[str]:
    """Return the names of the files in `folder` that an earlier template wrote."""
    try:
        listed = read_json_object(folder / DOCUMENT).get("files", [])
    except (UserError, OSError):
        return set()
    names = {name for name in listed if isinstance(name, str)}
    own = {n for n in names if n in (DOCUMENT, TEMPLATE, LABELS, CONFIDENCE)}
    own |= {n for n in names if n.startswith(f"{TRANSFORMS}/") and n.endswith(".nii.gz")}
    return {name for name in own if ".." not in name and (folder / name).is_file()}


def _finished_document(folder: Path, digest: str) -> dict[str, Any] | None:
    """Return template.json if it belongs to this digest and all of its files are there."""
    try:
        document = read_json_object(folder / DOCUMENT)
    except (UserError, OSError):
        return None
    complete = set(document.get("files", [])) == previous_template(folder)
    return document if complete and document.get("digest") == digest else None


def _write(
    averaging: Averaging, stages: Sequence[Stage], update: Update, folder: Path
) -> dict[str, Any]:
    """Write template, transforms and labels to a folder; return the content of template.json."""
    shutil.copyfile(stages[-1].template, folder / TEMPLATE)
    (folder / TRANSFORMS).mkdir()
    engine = averaging.engine
    used = [subject for subject in averaging.subjects if subject.name in update]
    rows = []
    with TemporaryDirectory(prefix="regzoo-") as scratch:
        votes = LabelVotes(update.grid, Path(scratch))
        for subject in engine.each(used):
            transform = update[subject.name]
            figures = _write_transforms(subject, transform, update.grid, folder / TRANSFORMS)
            if subject.labels is not None:
                votes.add(*_warped_labels(subject, transform, update.grid))
            registered = update.outcome.registered[subject.name].entry()
            rows.append(_row(subject) | registered | figures)
        labelled = [row["name"] for row in rows if row["labels"] is not None]
        if labelled:
            vote = votes.majority()
            write_volume(folder / LABELS, smallest_type(vote.labels), update.grid)
            write_volume(folder / CONFIDENCE, vote.confidence, update.grid)
    return {
        "digest": stages[-1].digest,
        "grid": update.grid.describe(),
        "normalised": averaging.normalised,
        "sharpened": averaging.sharpened,
        "iterations": [
            {"iteration": k} | {n: v for n, v in s.record.items() if n not in ("digest", "sha256")}
            for k, s in enumerate(stages)
        ],
        "subjects": sorted(rows, key=lambda row: str(row["name"])),
        "labelled": sorted(labelled),
        "left_out": dict(update.outcome.left_out),
        "plan": engine.plan,
        "settings_sha256": engine.settings,
        "template_sha256": stages[-1].record["sha256"],
        "peak_memory_mib": peak_memory_mib(),
        "versions": versions(),
    }


def _row(subject: Subject) -> dict[str, Any]:
    return {
        "name": subject.name,
        "image": str(subject.image),
        "labels": None if subject.labels is None else str(subject.labels),
        "sha256": subject.sha256,
    }


def _write_transforms(
    subject: Subject, transform: Transform, grid: Grid, folder: Path
) -> dict[str, float]:
    """Write the transform from the template to a subject, and back; return their figures."""
    inverse = invert(transform, subject.grid)
    write_transform(folder / f"{subject.name}.nii.gz", transform, grid)
    write_transform(folder / f"{subject.name}_inverse.nii.gz", inverse.transform, subject.grid)
    return {
        "inverse_error_mm_mean": inverse.mean_mm,
        "inverse_error_mm_max": inverse.max_mm,
        "template_folding_percent": folding_percent(jacobian_determinant(transform, grid)),
    }


def _warped_labels(subject: Subject, transform: Transform, grid: Grid) -> tuple[Tensor, Tensor]:
    """Return a subject's labels in the space of the template, and where they reach."""
    assert subject.labels is not None
    labels = read_labels(subject.labels)
    both = torch.stack([labels.data.long(), torch.ones_like(labels.data, dtype=torch.long)])
    warped = warp(both, labels.grid, grid, transform, interpolation="nearest")
    return warped[0], warped[1]
