"""Distribution of jobs among processes that share nothing but the run's folder.

Each job has a lock file. The operating system releases the lock of a process that dies, so that
another process can take over its job. The file is not empty while its job is being processed, and
remains so if the process dies.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from zoo.cohorts.jobs import STATE_FOLDER, Cohort, Job, is_settled
from zoo.cohorts.processes import ProcessRank
from zoo.runtime.signals import StopSignal

POLL_SECONDS = 0.5  # between checks of the jobs that other processes hold

PendingJobs = Mapping[Job, "str | None"]
"""Jobs to do, each with the token of its failure in an earlier run."""


def claimed_jobs(
    cohort: Cohort, pending: PendingJobs, stop: StopSignal, rank: ProcessRank
) -> Iterator[tuple[Job, FileLock]]:
    """Yield unsettled jobs with their locks until all are settled or a stop is requested.

    Each process begins at a different job, so that processes rarely compete for one. Jobs that were
    started before come last, because such a job may be what killed its process.
    """
    jobs = list(pending)
    first = len(jobs) * rank.rank // rank.world_size
    retried = {job for job in jobs if was_started(job, cohort)}
    waiting = sorted(jobs[first:] + jobs[:first], key=lambda job: job in retried)
    while waiting:
        held = []
        for job in waiting:
            if stop.requested:
                return
            if is_settled(job, cohort, pending[job]):
                continue
            postponed = was_started(job, cohort) and job not in retried
            lock = None if postponed else claim(job, cohort)
            if lock is None:
                held.append(job)
            elif is_settled(job, cohort, pending[job]):  # by the process that held the lock before
                release(lock)
            else:
                yield job, lock
        waiting, retried = held, set(held)
        if waiting:
            time.sleep(POLL_SECONDS)


def claim(job: Job, cohort: Cohort) -> FileLock | None:
    """Acquire the lock of a job and mark the job as started; None if another process holds it."""
    path = _lock_path(job, cohort)
    path.parent.mkdir(exist_ok=True)
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    path.write_bytes(b"started")
    return lock


def release(lock: FileLock) -> None:
    """Remove the mark and release the lock of a job that is settled."""
    Path(lock.lock_file).write_bytes(b"")
    lock.release()


def was_started(job: Job, cohort: Cohort) -> bool:
    """Return whether a process works on a job, or died while it did."""
    try:
        return _lock_path(job, cohort).stat().st_size > 0
    except OSError:
        return False


def _lock_path(job: Job, cohort: Cohort) -> Path:
    return cohort.folder / STATE_FOLDER / "locks" / f"{job.name}.lock"
