"""One process of a cohort: claims pairs, reads ahead, registers, and saves behind.

While one pair is registered, the next one is read and the last one written, each in a thread of its
own: at most three pairs are in memory, however long the run.
"""

from __future__ import annotations

import secrets
import shutil
import time
import traceback
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from zoo.cohorts.disk_space import require_space
from zoo.cohorts.jobs import FAILURE, OWN, PARTS, PLAN, Cohort, Job, content_of, is_settled
from zoo.datasets.pairs import Pair, load_pair
from zoo.errors import UserError
from zoo.handlers.saver import RegistrationSaver
from zoo.hub.bundles import bundle_folder
from zoo.io.atomic import replace_folder, write_json
from zoo.registration.pair import register_pair
from zoo.registration.result import RegisteredPair
from zoo.reporting.panels import write_thumbnail
from zoo.runtime.bundle import open_bundle
from zoo.runtime.signals import Stop, Stopped

if TYPE_CHECKING:
    from monai.bundle import ConfigWorkflow

POLL = 0.5  # seconds between looks at pairs that other processes hold
THUMBNAIL = "thumbnail.jpg"

Pending = Mapping[Job, "str | None"]
"""Jobs to do, each with the token of the failure it had in an earlier run."""


@dataclass(frozen=True)
class Share:
    """Which process this is of how many; it begins with its own part of the jobs."""

    rank: int = 0
    world: int = 1


@dataclass(frozen=True)
class Loaded:
    """A claimed job with its pair in memory and the digests of its files."""

    job: Job
    lock: FileLock
    content: dict[str, Any]
    pair: Pair


@contextmanager
def open_workflow(folder: Path, model: str, device: str) -> Iterator[ConfigWorkflow]:
    """Yield the bundle of a run's plan, as `regzoo register` opens it, without pairs as yet."""
    bundle = bundle_folder(model)
    overrides = {
        "pairs": [],
        "handlers": [],
        "bar": False,
        "output_dir": str(folder.absolute()),
        "bundle_root": str(bundle.absolute()),
        "device": f"$torch.device({device!r})",
    }
    with open_bundle(bundle, overrides, ["inference.json", (folder / PLAN).absolute()]) as workflow:
        yield workflow


def saver_of(workflow: ConfigWorkflow) -> RegistrationSaver:
    """Return the component of a bundle that writes registrations."""
    saver: RegistrationSaver = workflow.parser.get_parsed_content("saver")
    return saver


def work(cohort: Cohort, pending: Pending, stop: Stop, device: str, share: Share) -> None:
    """Register jobs until all of `pending` are settled, by this process or by others.

    A pair that fails is recorded and does not stop the rest. What is being registered when a
    signal comes is dropped, what is being saved is finished.
    """
    with (
        open_workflow(cohort.folder, cohort.model, device) as workflow,
        ThreadPoolExecutor(1, "read") as reader,
        ThreadPoolExecutor(1, "save") as writer,
    ):
        saver = saver_of(workflow)
        loads = load_ahead(cohort, pending, stop, share)
        coming = reader.submit(next, loads, None)
        saving: Future[None] | None = None
        try:
            while (loaded := coming.result()) is not None:
                coming = reader.submit(next, loads, None)
                try:
                    with stop.at_once():
                        registration = register_pair(workflow.evaluator, loaded.pair)
                except Exception as error:
                    fail(cohort, loaded.job, error)
                    let_go(loaded.lock)
                    continue
                if saving is not None:
                    saving.result()
                saving = writer.submit(save, cohort, loaded, registration, saver)
                del registration, loaded
            if saving is not None:
                saving.result()
        except Stopped:
            pass  # the locks of what was dropped go with the process


def load_ahead(cohort: Cohort, pending: Pending, stop: Stop, share: Share) -> Iterator[Loaded]:
    """Yield jobs that this process has claimed, loaded; what cannot be loaded has failed."""
    for job, lock in claims(cohort, pending, stop, share):
        require_space([job], cohort.plan, cohort.folder)
        try:
            yield Loaded(job, lock, content_of(job, cohort), load_pair(job.files))
        except Exception as error:
            fail(cohort, job, error)
            let_go(lock)


def claims(
    cohort: Cohort, pending: Pending, stop: Stop, share: Share
) -> Iterator[tuple[Job, FileLock]]:
    """Yield unsettled jobs, each with its lock, until all are settled or a stop is wanted.

    The system lets go of a lock when its process dies, however it dies: then another process takes
    the job, but after the untouched ones, for the job may be what kills. Each process begins at
    another place, so that they seldom ask for the same job.
    """
    jobs = list(pending)
    first = len(jobs) * share.rank // share.world
    touched = {job for job in jobs if was_begun(job, cohort)}
    waiting = sorted(jobs[first:] + jobs[:first], key=lambda job: job in touched)
    while waiting:
        held = []
        for job in waiting:
            if stop.wanted:
                return
            if is_settled(job, cohort, pending[job]):
                continue
            later = was_begun(job, cohort) and job not in touched
            lock = None if later else claim(job, cohort)
            if lock is None:
                held.append(job)
            elif is_settled(job, cohort, pending[job]):  # just before the lock was free
                let_go(lock)
            else:
                yield job, lock
        waiting, touched = held, set(held)
        if waiting:
            time.sleep(POLL)


def claim(job: Job, cohort: Cohort) -> FileLock | None:
    """Return the lock of a job, held and marked; None if another process holds it."""
    path = _lock_path(job, cohort)
    path.parent.mkdir(exist_ok=True)
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    path.write_text("begun")
    return lock


def let_go(lock: FileLock) -> None:
    """Take the mark from a lock and release it: its job is settled."""
    Path(lock.lock_file).write_text("")
    lock.release()


def was_begun(job: Job, cohort: Cohort) -> bool:
    """Say whether a process is at a job, or was when it died."""
    try:
        return _lock_path(job, cohort).stat().st_size > 0
    except OSError:
        return False


def _lock_path(job: Job, cohort: Cohort) -> Path:
    return cohort.folder / OWN / "locks" / f"{job.name}.lock"


def save(
    cohort: Cohort, loaded: Loaded, registration: RegisteredPair, saver: RegistrationSaver
) -> None:
    """Write a registration and put its folder in place, or record why that failed."""
    try:
        noted = replace(registration, notes=registration.notes | {"content": loaded.content})
        part = fresh_part(cohort, loaded.job)
        write_thumbnail(noted, part / THUMBNAIL)
        saver.save(noted, part)
        replace_folder(part, loaded.job.folder)
    except Exception as error:
        fail(cohort, loaded.job, error)
    finally:
        let_go(loaded.lock)


def fail(cohort: Cohort, job: Job, error: Exception) -> None:
    """Record why a job failed, in the place of its results."""
    known = isinstance(error, UserError)
    reason = str(error) if known else f"{type(error).__name__}: {error}"
    told: dict[str, Any] = {"name": job.name, "reason": " ".join(reason.split())}
    if not known:
        told["traceback"] = traceback.format_exception(error)
    part = fresh_part(cohort, job)
    write_json(part / FAILURE, told | {"token": secrets.token_hex(8)})
    replace_folder(part, job.folder)


def fresh_part(cohort: Cohort, job: Job) -> Path:
    """Return an empty folder for a job's results, on the disk where they belong.

    What a process that was killed has left there goes: whoever holds the lock owns it.
    """
    part = cohort.folder / PARTS / job.name
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    return part
