"""Whether the disk has room for what a cohort will write."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from zoo.cohorts.jobs import Job
from zoo.errors import UserError
from zoo.io.volume import ImageHeader, read_header
from zoo.planning.plan import Plan

VECTOR = 12  # bytes a voxel of a field
LABEL = 2
REPORT = 4 << 20
REST = 256 << 10  # result.json, thumbnail.jpg


def require_space(jobs: Iterable[Job], plan: Plan, folder: Path) -> None:
    """Refuse to start when the disk of `folder` cannot hold the results of all jobs."""
    waiting = list(jobs)
    needed = sum(bytes_of(job, plan) for job in waiting)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{folder} has {_size(free)} of free space and {len(waiting)} pairs need up to "
            f"{_size(needed)}; free some, or write elsewhere with --out"
        )


def bytes_of(job: Job, plan: Plan) -> int:
    """Return the most bytes that a job's results take: its grids without compression.

    A pair whose headers cannot be read needs none: it will fail.
    """
    try:
        fixed = read_header(job.files.fixed)
        moving = [read_header(path) for path in job.files.moving]
    except UserError:
        return 0
    fields = 2 if plan.get("format") == "both" else 1
    size = fixed.grid.voxels * VECTOR * (fields + bool(plan.get("learn2reg")))
    size += sum(fixed.grid.voxels * _width(header) for header in moving)
    size += fixed.grid.voxels * LABEL * (job.files.moving_labels is not None)
    size += moving[0].grid.voxels * VECTOR * fields * bool(plan.get("inverse"))
    return size + (REPORT if plan.get("report", True) else 0) + REST


def _width(header: ImageHeader) -> int:
    """Return the bytes of one voxel of an image."""
    try:
        return np.dtype(header.dtype).itemsize
    except TypeError:
        return 8


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
