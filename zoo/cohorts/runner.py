"""Running a cohort: in this process or in several worker processes of this machine.

Processes share nothing but the run's folder: a lock per pair shows which process works on it, and
its result.json that it is finished.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading

from zoo.cohorts.jobs import Cohort
from zoo.cohorts.locks import PendingJobs
from zoo.cohorts.processes import ProcessRank, device_of, local_rank
from zoo.cohorts.progress import Report, progress_reported
from zoo.cohorts.worker import register_jobs
from zoo.errors import UserError, on_one_line
from zoo.resources import safe_import_path
from zoo.runtime.device import use_threads
from zoo.runtime.signals import StopSignal

USER_ERROR = 2  # the exit code of a worker process that ended with a UserError


def run_in_process(
    cohort: Cohort,
    pending: PendingJobs,
    stop: StopSignal,
    device: str | None,
    rank: ProcessRank,
    report: Report | None,
) -> None:
    """Register jobs in this process, which is the only one or one rank of several."""
    with progress_reported(cohort, pending, report if rank.rank == 0 else None):
        register_jobs(cohort, pending, stop, device_of(device, local_rank()), rank)


def run_workers(
    cohort: Cohort,
    pending: PendingJobs,
    stop: StopSignal,
    device: str | None,
    threads: int | None,
    workers: int,
    report: Report | None,
) -> int:
    """Register jobs in worker processes of this machine; return how many of them were killed.

    The pairs of a killed process are registered by the others.
    """
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(
            target=_run_worker,
            args=(cohort, pending, device_of(device, k), threads, ProcessRank(k, workers)),
            daemon=True,
        )
        for k in range(workers)
    ]
    with progress_reported(cohort, pending, report):
        # A worker ignores Ctrl-C until it has installed its own handler.
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        with safe_import_path():
            for process in processes:
                process.start()
        signal.signal(signal.SIGINT, handler)
        while any(process.is_alive() for process in processes):
            for process in processes:
                process.join(0.1)
                if stop.requested and process.is_alive():
                    process.terminate()
    codes = [process.exitcode or 0 for process in processes]
    if USER_ERROR in codes:
        raise UserError(
            "a worker process ended with the error above; correct it and run the same command "
            "again to resume"
        )
    return 0 if stop.requested else sum(code != 0 for code in codes)


def _run_worker(
    cohort: Cohort, pending: PendingJobs, device: str, threads: int | None, rank: ProcessRank
) -> None:
    """Entry point of a worker process."""
    with StopSignal() as stop:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        try:
            use_threads(threads)
            register_jobs(cohort, pending, stop, device, rank)
        except UserError as error:
            print(f"regzoo: {on_one_line(error)}", file=sys.stderr)
            sys.exit(USER_ERROR)


def _end_with_parent() -> None:
    """Stop this worker process when its parent process ends."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
