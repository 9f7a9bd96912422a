"""The work of one process of a cohort: claim pairs, load, register and save them."""

from __future__ import annotations

import secrets
import shutil
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from zoo.cohorts.disk_space import require_space
from zoo.cohorts.jobs import FAILURE, PLAN, UNFINISHED, Cohort, Job, report_of
from zoo.cohorts.locks import PendingJobs, claimed_jobs, release
from zoo.cohorts.overlap import process_overlapped
from zoo.cohorts.processes import ProcessRank
from zoo.datasets.pairs import Pair, load_pair
from zoo.errors import UserError
from zoo.handlers.saver import RegistrationSaver
from zoo.hub.bundles import bundle_folder
from zoo.hub.setting_rules import for_monai
from zoo.io.atomic import replace_folder, write_json
from zoo.planning.plan import Plan
from zoo.registration.result import RegisteredPair
from zoo.reporting.thumbnail import write_thumbnail
from zoo.runtime.registrar import Registrar, open_registrar
from zoo.runtime.signals import Stopped, StopSignal

THUMBNAIL = "thumbnail.jpg"


@dataclass(frozen=True)
class LoadedJob:
    """A claimed job with its pair in memory and the digests of its files."""

    job: Job
    lock: FileLock
    content: dict[str, Any]
    pair: Pair


def register_jobs(
    cohort: Cohort, pending: PendingJobs, stop: StopSignal, device: str, rank: ProcessRank
) -> None:
    """Register jobs until all of `pending` are settled, by this process or by others.

    A pair that fails is recorded and does not stop the run. When a signal requests a stop, the
    registration in progress is dropped and the results in memory are saved.
    """
    with open_model(cohort.folder, cohort.plan, device) as registrar:

        def register(loaded: LoadedJob) -> RegisteredPair | None:
            try:
                with stop.interruptible():
                    return registrar.register(loaded.pair)
            except Exception as error:
                record_failure(cohort, loaded.job, error)
                release(loaded.lock)
                return None

        def save(loaded: LoadedJob, registration: RegisteredPair) -> None:
            save_result(cohort, loaded, registration, registrar.saver)

        # After a stop, the locks of dropped jobs are released when the process ends.
        with suppress(Stopped):
            process_overlapped(loaded_jobs(cohort, pending, stop, rank), register, save)


def open_model(folder: Path, plan: Plan, device: str) -> AbstractContextManager[Registrar]:
    """Open the registrar of a run's plan with its weights, without pairs and handlers."""
    bundle = bundle_folder(str(plan["plan"]["model"]))
    overrides = {
        "pairs": [],
        "handlers": [],
        "bar": False,
        "report": report_of(plan),
        "output_dir": for_monai(str(folder.absolute())),
        "bundle_root": for_monai(str(bundle.absolute())),
        "device": f"$torch.device({device!r})",
    }
    return open_registrar(bundle, overrides, (folder / PLAN).absolute())


def loaded_jobs(
    cohort: Cohort, pending: PendingJobs, stop: StopSignal, rank: ProcessRank
) -> Iterator[LoadedJob]:
    """Yield the jobs that this process claims, loaded; record those that cannot be loaded."""
    for job, lock in claimed_jobs(cohort, pending, stop, rank):
        require_space([job], cohort.plan, cohort.folder)
        try:
            yield LoadedJob(job, lock, cohort.digest(job), load_pair(job.files))
        except Exception as error:
            record_failure(cohort, job, error)
            release(lock)


def save_result(
    cohort: Cohort, loaded: LoadedJob, registration: RegisteredPair, saver: RegistrationSaver
) -> None:
    """Write a registration and move its folder into place, or record why this failed."""
    try:
        annotated = replace(registration, notes=registration.notes | {"content": loaded.content})
        folder = empty_folder(cohort, loaded.job)
        write_thumbnail(annotated, folder / THUMBNAIL)
        saver.save(annotated, folder)
        replace_folder(folder, loaded.job.folder)
    except Exception as error:
        record_failure(cohort, loaded.job, error)
    finally:
        release(loaded.lock)


def record_failure(cohort: Cohort, job: Job, error: Exception) -> None:
    """Replace the results of a job by failure.json: the reason and, for a bug, the traceback."""
    expected = isinstance(error, UserError)
    reason = str(error) if expected else f"{type(error).__name__}: {error}"
    failure: dict[str, Any] = {"name": job.name, "reason": " ".join(reason.split())}
    if not expected:
        failure["traceback"] = traceback.format_exception(error)
    folder = empty_folder(cohort, job)
    write_json(folder / FAILURE, failure | {"token": secrets.token_hex(8)})
    replace_folder(folder, job.folder)


def empty_folder(cohort: Cohort, job: Job) -> Path:
    """Return an empty folder for the unfinished results of a job, on the disk of the run.

    Leftovers of a killed process are removed; the caller holds the lock of the job.
    """
    folder = cohort.folder / UNFINISHED / job.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
