"""The record of the pairs of a run: a result with its digest, or a failure with its reason.

The folder of a pair is written elsewhere on the same disk and moved into place in one step. Several
processes may therefore register the same pair, as happens when a scheduler loses a worker that is
still at work: the first complete result stays.
"""

from __future__ import annotations

import secrets
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import Any

from zoo.cohorts.jobs import STATE_FOLDER, Cohort, Job
from zoo.errors import UserError
from zoo.io.atomic import replace_folder, write_json
from zoo.io.json_documents import read_json_object

RESULT, FAILURE = "result.json", "failure.json"
UNFINISHED = f"{STATE_FOLDER}/parts"

Failure = dict[str, Any]
"""Why a pair could not be registered: `reason` on one line and, for a bug, the `traceback`."""


def pending_jobs(cohort: Cohort) -> list[Job]:
    """Return the unfinished jobs. Jobs that failed in an earlier run are tried again."""
    return [job for job in cohort.jobs if not is_finished(job, cohort)]


def is_finished(job: Job, cohort: Cohort) -> bool:
    """Return whether a job has a result that matches its present files and settings."""
    return finished_result(job, cohort) is not None


def finished_result(job: Job, cohort: Cohort) -> dict[str, Any] | None:
    """Return the content of a job's result.json; None unless it matches files and settings."""
    result = read_json(job.folder / RESULT)
    known = None if result is None else result.get("content")
    if not isinstance(known, dict):
        return None
    try:
        current = cohort.digest(job, known)
    except (UserError, OSError):
        return None  # a file is missing; the attempt to register the pair reports which one
    return result if current["sha256"] == known.get("sha256") else None


def failure_of(job: Job) -> Failure | None:
    """Return the content of a job's failure.json; None if the job did not fail."""
    return read_json(job.folder / FAILURE)


def describe_failure(error: Exception) -> Failure:
    """Return the failure that an exception means."""
    expected = isinstance(error, UserError)
    reason = str(error) if expected else f"{type(error).__name__}: {error}"
    failure: Failure = {"reason": " ".join(reason.split())}
    return failure if expected else failure | {"traceback": traceback.format_exception(error)}


def record_failure(cohort: Cohort, job: Job, failure: Failure) -> None:
    """Replace the results of a job by failure.json, unless the job is finished."""
    with replaced_results(cohort, job) as folder:
        write_json(folder / FAILURE, {"name": job.name} | failure)


@contextmanager
def replaced_results(cohort: Cohort, job: Job) -> Iterator[Path]:
    """Yield an empty folder that replaces the folder of a job after the block.

    If another process has finished the job in the meantime, its result stays. If the block fails,
    the folder of the job stays as it was.
    """
    folder = cohort.folder / UNFINISHED / f"{job.name}.{secrets.token_hex(4)}"
    folder.mkdir(parents=True)
    try:
        yield folder
        if not is_finished(job, cohort):
            _move(folder, cohort, job)
    finally:
        rmtree(folder, ignore_errors=True)


def _move(folder: Path, cohort: Cohort, job: Job) -> None:
    """Move a folder to the place of a job's results."""
    try:
        replace_folder(folder, job.folder)
    except OSError:
        if not is_finished(job, cohort):  # otherwise another process was faster
            raise


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file; None if the file is missing or cannot be read."""
    try:
        return read_json_object(path)
    except (OSError, UserError):
        return None
