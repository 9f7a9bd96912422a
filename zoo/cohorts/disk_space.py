"""A check that the disk has room for the results of a cohort."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

import numpy as np

from zoo.cohorts.jobs import Cohort, Job, report_of
from zoo.errors import UserError
from zoo.io.volume import ImageHeader, read_header

VECTOR_BYTES = 12  # per voxel of a displacement field
LABEL_BYTES = 2  # per voxel of warped labels
UNCERTAINTY_BYTES = 4  # per voxel of uncertainty.nii.gz
REPORT_BYTES = {"full": 12 << 20, "light": 4 << 20, "none": 0}  # report.html and report.png
OTHER_BYTES = 256 << 10  # result.json and the thumbnail


def require_space(jobs: Collection[Job], cohort: Cohort, folder: Path) -> None:
    """Raise `UserError` if the disk of `folder` cannot hold the results of all jobs."""
    needed = sum(result_bytes(job, cohort) for job in jobs)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"the results of {len(jobs)} pairs need up to {size_text(needed)}, but {folder} has "
            f"only {size_text(free)} of free space; free some space or choose another folder with "
            "--out"
        )


def result_bytes(job: Job, cohort: Cohort) -> int:
    """Return an upper bound of the size of a job's results: their size without compression.

    A pair whose headers cannot be read counts as 0, because its registration will fail.
    """
    try:
        fixed = read_header(job.files.fixed)
        moving = [read_header(path) for path in job.files.moving]
    except UserError:
        return 0
    plan = cohort.plan
    fields = 2 if plan.get("format") == "both" else 1
    size = fixed.grid.voxels * VECTOR_BYTES * (fields + bool(plan.get("learn2reg")))
    size += sum(fixed.grid.voxels * _voxel_bytes(header) for header in moving)
    size += fixed.grid.voxels * LABEL_BYTES * (job.files.moving_labels is not None)
    size += fixed.grid.voxels * UNCERTAINTY_BYTES * (cohort.uncertainty is not None)
    size += moving[0].grid.voxels * VECTOR_BYTES * fields * bool(plan.get("inverse"))
    return size + REPORT_BYTES[report_of(plan)] + OTHER_BYTES


def unreadable_image(job: Job) -> str | None:
    """Return why the header of an image of a job cannot be read; None if all can be read."""
    try:
        for path in (job.files.fixed, *job.files.moving):
            read_header(path)
    except UserError as error:
        return str(error)
    return None


def _voxel_bytes(header: ImageHeader) -> int:
    """Return the number of bytes per voxel of an image."""
    try:
        return np.dtype(header.dtype).itemsize
    except TypeError:
        return 8


def size_text(count: int) -> str:
    """Return a number of bytes as text, such as "13.1 MB"."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
