"""Propagate labels: register labelled atlases to a target, and fuse their warped labels."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from zoo.atlases import LabelVotes, Vote, labels_with_one_voter, local_weights
from zoo.cohorts.jobs import STATE_FOLDER, locked_run_folder
from zoo.datasets.names import stem
from zoo.datasets.pairs import PairFiles
from zoo.errors import UserError
from zoo.geometry import Grid, warp
from zoo.handlers.provenance import peak_memory_mib, versions
from zoo.io.atomic import write_json
from zoo.io.json_documents import read_json_object
from zoo.io.labels import read_labels, smallest_type
from zoo.io.volume import Volume, read_volume, write_volume
from zoo.measures import dice_per_label
from zoo.pipelines.groups.members import Member, read_group
from zoo.pipelines.groups.options import PropagationOptions
from zoo.pipelines.groups.registrations import (
    Engine,
    GroupResult,
    Outcome,
    Registered,
    distribution_of,
    output_folder,
    plan_of_group,
    require_some,
)
from zoo.runtime.output_folder import staged_outputs
from zoo.runtime.overwriting import refuse_overwriting
from zoo.runtime.signals import Stopped, StopSignal

DOCUMENT, LABELS = "propagate.json", "labels.nii.gz"
MAJORITY, CONFIDENCE = "labels_majority.nii.gz", "confidence.nii.gz"
OUTPUTS = (DOCUMENT, LABELS, MAJORITY, CONFIDENCE)
REGISTRATIONS = "registrations"


@dataclass(frozen=True)
class Target:
    """An image to label: its name, its true labels if they are known, and its output folder."""

    name: str
    image: Path
    labels: Path | None
    folder: Path


def propagate_labels(
    options: PropagationOptions, *, report: Callable[[str], None] | None = None
) -> GroupResult:
    """Label the targets by the atlases and write everything to `options.out`.

    Registrations whose files and settings have not changed are kept, so that the same request
    resumes, and atlases can be added. `report` is called with lines about the progress.
    """
    folder = output_folder(options.out)
    distribution = distribution_of(options)
    group = read_group(options.atlases)
    atlases = [member for member in group.members if member.labels is not None]
    targets = _targets(options, folder)
    for target in targets:
        if not _without(target, atlases):
            raise UserError(
                f"{options.atlases} has no image with a label map besides the target {target.name};"
                " an atlas is an image and its labels"
            )
    _refuse_overwriting(atlases, targets)
    example = PairFiles(targets[0].image, (_without(targets[0], atlases)[0].image,))
    plan = plan_of_group(options, group, example)
    (folder / STATE_FOLDER).mkdir(parents=True, exist_ok=True)
    with StopSignal() as stop, locked_run_folder(folder):
        engine = Engine(plan, distribution, stop, report)
        try:
            documents = [_label(target, atlases, engine) for target in targets]
        except Stopped:
            return GroupResult(folder, {}, stop.number)
    return GroupResult(folder, documents[0] if len(documents) == 1 else _several(documents))


def _targets(options: PropagationOptions, folder: Path) -> list[Target]:
    """Return the targets; each of several has a folder of its name."""
    images, labels = _paths(options.target), _paths(options.labels)
    if labels and len(labels) != len(images):
        raise UserError(
            f"there are {len(images)} targets and {len(labels)} label maps; give --labels one "
            "label map per target, in the same order"
        )
    names = [stem(image) for image in images]
    if len(set(names)) < len(names):
        raise UserError(
            f"two targets have the same name ({', '.join(names)}); label them one by one, each "
            "with an --out of its own"
        )
    return [
        Target(
            name,
            image.absolute(),
            labels[k].absolute() if labels else None,
            folder if len(images) == 1 else folder / name,
        )
        for k, (name, image) in enumerate(zip(names, images, strict=True))
    ]


def _paths(value: Any) -> list[Path]:
    if value is None:
        return []
    return [Path(v) for v in ([value] if isinstance(value, (str, PathLike)) else value)]


def _without(target: Target, atlases: Sequence[Member]) -> list[Member]:
    """Return the atlases that are not the target itself, which would only copy its labels."""
    image = target.image.resolve()
    return [atlas for atlas in atlases if atlas.image.resolve() != image]


def _refuse_overwriting(atlases: Sequence[Member], targets: Sequence[Target]) -> None:
    inputs = {f"the image of {a.name}": a.image for a in atlases}
    inputs |= {f"the labels of {a.name}": a.labels for a in atlases if a.labels is not None}
    inputs |= {f"the target {t.name}": t.image for t in targets}
    inputs |= {f"the labels of {t.name}": t.labels for t in targets if t.labels is not None}
    outputs = [target.folder / name for target in targets for name in OUTPUTS]
    refuse_overwriting(inputs, outputs)


def _label(target: Target, atlases: Sequence[Member], engine: Engine) -> dict[str, Any]:
    """Register all atlases to a target and write its labels; return propagate.json."""
    started = time.perf_counter()
    pairs = {
        atlas.name: PairFiles(target.image, (atlas.image,), moving_labels=atlas.labels)
        for atlas in _without(target, atlases)
    }
    outcome = engine.register(pairs, target.folder / REGISTRATIONS)
    require_some(outcome, 1, f"the labelling of {target.name}")
    for name, reason in outcome.left_out.items():
        engine.say(f"{name} is left out: {reason}")
    with staged_outputs(target.folder, _previous, marker=DOCUMENT) as staged:
        with TemporaryDirectory(prefix="regzoo-") as scratch:
            document = _fuse(target, outcome, engine, staged, Path(scratch))
        document["seconds"] = round(time.perf_counter() - started, 3)
        write_json(staged / DOCUMENT, document)
    return document


def _previous(folder: Path) -> set[str]:
    """Return the names of the files in `folder` that an earlier propagation wrote."""
    try:
        read_json_object(folder / DOCUMENT)
    except (UserError, OSError):
        return set()
    return {name for name in OUTPUTS if (folder / name).is_file()}


def _fuse(
    target: Target, outcome: Outcome, engine: Engine, folder: Path, scratch: Path
) -> dict[str, Any]:
    """Write the fused labels of a target; return the content of propagate.json."""
    image = read_volume(target.image)
    names = _in_fixed_order(outcome)
    votes = LabelVotes(image.grid, scratch)
    single = _add_votes(votes, names, outcome, image, engine)
    weighted, majority = votes.weighted(), votes.majority()
    write_volume(folder / LABELS, smallest_type(weighted.labels), image.grid)
    write_volume(folder / MAJORITY, smallest_type(majority.labels), image.grid)
    write_volume(folder / CONFIDENCE, weighted.confidence, image.grid)
    found = sorted(set(weighted.labels.unique().tolist()) - {0})
    per_atlas = {
        name: dice_per_label(votes.labels_of(k), weighted.labels, found)
        for k, name in enumerate(names)
    }
    document = {
        "target": str(target.image),
        "grid": image.grid.describe(),
        "atlases": [
            {"name": name}
            | outcome.registered[name].entry()
            | {"agreement": _mean(per_atlas[name])}
            for name in sorted(names)
        ],
        "left_out": outcome.left_out,
        "labels_left_out": sorted(single),
        "labels": [
            _label_row(label, weighted, majority, image.grid)
            | {"agreement": _mean({n: per_atlas[n][label] for n in names})}
            for label in found
        ],
        "plan": engine.plan,
        "settings_sha256": engine.settings,
        "files": sorted(OUTPUTS),
        "peak_memory_mib": peak_memory_mib(),
        "versions": versions(),
    }
    if target.labels is not None:
        document["dice"] = _dice(target.labels, image, votes, names, (weighted, majority))
    return document


def _in_fixed_order(outcome: Outcome) -> list[str]:
    """Return the atlases in the order of their digests, which no list of files influences."""
    keys = {n: (r.result["content"]["sha256"], n) for n, r in outcome.registered.items()}
    return sorted(keys, key=keys.__getitem__)


def _add_votes(
    votes: LabelVotes, names: Sequence[str], outcome: Outcome, image: Volume, engine: Engine
) -> set[int]:
    """Add the vote of every atlas; return the labels of one atlas alone, which are left out."""
    maps = [outcome.registered[name].folder / "warped_labels.nii.gz" for name in names]
    found: list[set[int]] = []
    region = torch.zeros(image.grid.shape, dtype=torch.bool)
    for path in engine.each(maps):
        labels = read_labels(path).data
        found.append(set(labels.unique().tolist()))
        region |= labels != 0
    if not bool(region.any()):
        raise UserError(
            f"no label of the atlases reaches {image.path}; look at the registrations in "
            f"{REGISTRATIONS}"
        )
    single = labels_with_one_voter(found) if len(names) > 1 else set()
    left_out = torch.tensor(sorted(single), dtype=torch.int32)
    for name, path in engine.each(zip(names, maps, strict=True)):
        labels = read_labels(path).data.to(torch.int32)
        registered = outcome.registered[name]
        moving = read_volume(registered.folder / "warped.nii.gz")
        weights = local_weights(image.data, moving.data, region, image.grid)
        may_vote = _reached(registered, image.grid) & ~torch.isin(labels, left_out)
        votes.add(labels, torch.where(may_vote, weights, 0.0))
    return single


def _reached(registered: Registered, grid: Grid) -> Tensor:
    """Return which voxels of the target lie in the field of view of an atlas: [X, Y, Z], bool."""
    atlas = read_volume(registered.result["moving"][0])
    everywhere = torch.ones((1, *atlas.grid.shape), dtype=torch.uint8)
    transform = registered.transform
    return warp(everywhere, atlas.grid, grid, transform, interpolation="nearest")[0] > 0


def _label_row(label: int, weighted: Vote, majority: Vote, grid: Grid) -> dict[str, Any]:
    """Return the volumes of a label, and its mean share of the weights."""
    where = weighted.labels == label
    voxel = abs(float(torch.linalg.det(grid.linear)))
    return {
        "label": label,
        "volume_mm3": float(where.sum()) * voxel,
        "volume_majority_mm3": float((majority.labels == label).sum()) * voxel,
        "confidence": float(weighted.confidence[where].mean()),
    }


def _dice(
    path: Path, image: Volume, votes: LabelVotes, names: Sequence[str], fused: tuple[Vote, Vote]
) -> dict[str, Any]:
    """Return the Dice overlap with the true labels of a target, per label and in the mean."""
    truth = read_labels(path)
    if not truth.grid.same_as(image.grid, tolerance=0.1):
        raise UserError(
            f"{path} ({truth.grid.describe()}) does not have the grid of {image.path} "
            f"({image.grid.describe()}); resample the labels"
        )
    known = truth.data.to(torch.int32)
    labels = sorted(set(known.unique().tolist()) - {0})
    weighted, majority = (dice_per_label(vote.labels, known, labels) for vote in fused)
    alone = {
        name: _mean(dice_per_label(votes.labels_of(k), known, labels))
        for k, name in enumerate(names)
    }
    return {
        "weighted": {"mean": _mean(weighted), "labels": {str(k): v for k, v in weighted.items()}},
        "majority": {"mean": _mean(majority), "labels": {str(k): v for k, v in majority.items()}},
        "atlases": alone,
        "best_atlas": max(alone, key=lambda name: alone[name] or 0.0),
    }


def _mean(values: Mapping[Any, float | None]) -> float | None:
    known = [value for value in values.values() if value is not None]
    return sum(known) / len(known) if known else None


def _several(documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the documents of several targets as one."""
    return {"targets": list(documents)}
