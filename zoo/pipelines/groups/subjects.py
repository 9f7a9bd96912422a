"""The subjects of a template, and their first alignment in the space between them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.atlases import mid_space_grid, mid_space_maps
from zoo.cohorts.digests import file_digest
from zoo.cohorts.record import read_json
from zoo.errors import UserError
from zoo.geometry import Grid
from zoo.io.atomic import write_json
from zoo.io.volume import Volume, read_header, read_volume
from zoo.pipelines.groups.members import Member
from zoo.pipelines.groups.registrations import Engine
from zoo.solvers.affine import align_affine


@dataclass(frozen=True, eq=False)
class Subject:
    """An image of the group, its grid, and the sha256 of its file."""

    name: str
    image: Path
    labels: Path | None
    grid: Grid
    sha256: str

    def read(self) -> Volume:
        """Read the image."""
        return read_volume(self.image)


def subjects_of(members: Sequence[Member]) -> list[Subject]:
    """Return the subjects in the order of their digests, which no list of files influences.

    Labels on another grid than their image are a `UserError`.
    """
    subjects = []
    for member in members:
        grid = read_header(member.image).grid
        if member.labels is not None:
            labels = read_header(member.labels).grid
            if not labels.same_as(grid, tolerance=0.1):
                raise UserError(
                    f"{member.labels} ({labels.describe()}) does not have the grid of "
                    f"{member.image} ({grid.describe()}); resample the labels"
                )
        sha256 = file_digest(member.image)["sha256"]
        subjects.append(Subject(member.name, member.image, member.labels, grid, sha256))
    return sorted(subjects, key=lambda subject: (subject.sha256, subject.name))


@dataclass(frozen=True)
class MidSpace:
    """The grid of the template, and the affine maps from it to the subjects: 4x4, RAS+ mm."""

    grid: Grid
    maps: dict[str, Tensor]


def find_mid_space(
    subjects: Sequence[Subject], spacing: float | None, engine: Engine, record: Path
) -> MidSpace:
    """Align all subjects with one of them, and return the mean of their places.

    That one is the subject with the median field of view; the mean of the maps removes its
    influence. Each map is written to the file `record`, so that it is not searched for again.
    """
    by_volume = sorted(subjects, key=lambda s: s.grid.voxels * abs(float(s.grid.linear.det())))
    reference = by_volume[len(subjects) // 2]
    known = read_json(record) or {}
    fixed = reference.read()
    for subject in subjects:
        digest = digest_of([reference.sha256, subject.sha256, engine.settings])
        if known.get(subject.name, {}).get("digest") == digest:
            continue
        with engine.stop.interruptible():
            matrix = _aligned(fixed, subject, reference)
        known[subject.name] = {"digest": digest, "matrix_ras": matrix.tolist()}
        write_json(record, known)
        engine.say(f"{subject.name}: aligned with {reference.name}")
    matrices = [
        torch.tensor(known[subject.name]["matrix_ras"], dtype=torch.float64) for subject in subjects
    ]
    maps = mid_space_maps(matrices)
    grid = mid_space_grid([subject.grid for subject in subjects], maps, spacing)
    return MidSpace(grid, {s.name: m for s, m in zip(subjects, maps, strict=True)})


def digest_of(value: Any) -> str:
    """Return the sha256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _aligned(fixed: Volume, subject: Subject, reference: Subject) -> Tensor:
    """Return the affine map from the reference to a subject: 4x4, RAS+ mm."""
    if subject is reference:
        return torch.eye(4, dtype=torch.float64)
    moving = subject.read()
    found = align_affine(fixed.data.float(), fixed.grid, moving.data.float(), moving.grid, "affine")
    return found.matrix
