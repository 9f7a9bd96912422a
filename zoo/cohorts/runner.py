"""Running a cohort: in this process, in several of this machine, or as one rank of many.

Processes share nothing but the run's folder: a lock a pair says who is at it, its result.json that
it is done. One of them, the first, tells how far it is and writes the summary.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from zoo.cohorts.jobs import Cohort, Job, failure_of, is_settled
from zoo.cohorts.worker import Pending, Share, work
from zoo.errors import UserError
from zoo.resources import available_cores
from zoo.runtime.device import choose_device, use_threads
from zoo.runtime.signals import Stop

LOOKS = 1000  # at most so many files are asked for a second


def share_of_environment() -> Share | None:
    """Return which rank this is, as torchrun says it in the environment; None without it."""
    words = [os.environ.get(name) for name in ("RANK", "WORLD_SIZE")]
    if not all(words):
        return None
    try:
        rank, world = (int(str(word)) for word in words)
    except ValueError:
        rank, world = -1, 0
    if not 0 <= rank < world:
        raise UserError(
            f"RANK={words[0]} and WORLD_SIZE={words[1]} in the environment must be whole numbers, "
            "the first from 0 to below the second; unset both to run in one process"
        )
    return Share(rank, world)


def local_rank() -> int:
    """Return the number of this process on its machine."""
    return _whole("LOCAL_RANK", 0)


def local_world() -> int:
    """Return how many processes torchrun has started on this machine."""
    return max(1, _whole("LOCAL_WORLD_SIZE", 1))


def _whole(name: str, otherwise: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else otherwise


def device_of(name: str | None, place: int) -> str:
    """Return the device called `name`, or that of process `place`: GPUs in turn, or the CPU."""
    if name is None and torch.cuda.is_available():
        return f"cuda:{place % torch.cuda.device_count()}"
    return str(choose_device(name))


def threads_of(asked: int | None, processes: int) -> int | None:
    """Return the threads of one of several processes: as asked, as the environment says, or its
    part of the processors this machine lends.
    """
    if asked is not None or os.environ.get("OMP_NUM_THREADS"):
        return asked
    return max(1, available_cores() // processes)


def run_here(
    cohort: Cohort, pending: Pending, stop: Stop, device: str | None, share: Share
) -> None:
    """Do the work of one process in this one."""
    with told(cohort, pending, share.rank == 0):
        work(cohort, pending, stop, device_of(device, local_rank()), share)


def run_workers(
    cohort: Cohort,
    pending: Pending,
    stop: Stop,
    device: str | None,
    threads: int | None,
    workers: int,
) -> int:
    """Do the work in processes of this machine; return how many of them were killed.

    The pairs of one that is killed go to the others.
    """
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(
            target=_worker,
            args=(cohort, pending, device_of(device, k), threads, Share(k, workers)),
            daemon=True,
        )
        for k in range(workers)
    ]
    with told(cohort, pending, True):
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # theirs until they have their own
        for process in processes:
            process.start()
        signal.signal(signal.SIGINT, handler)
        while any(process.is_alive() for process in processes):
            for process in processes:
                process.join(0.1)
                if stop.wanted and process.is_alive():
                    process.terminate()
    codes = [process.exitcode or 0 for process in processes]
    if 2 in codes:
        raise UserError("a process could not go on, see above; then the same command goes on")
    return 0 if stop.wanted else sum(code != 0 for code in codes)


def _worker(
    cohort: Cohort, pending: Pending, device: str, threads: int | None, share: Share
) -> None:
    """Be one process of several; it ends when the one that started it does."""
    with Stop() as stop:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        try:
            use_threads(threads)
            work(cohort, pending, stop, device, share)
        except UserError as error:
            print(f"regzoo: {' '.join(str(error).split())}", file=sys.stderr)
            sys.exit(2)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def told(cohort: Cohort, pending: Pending, wanted: bool) -> Iterator[None]:
    """Print a line for every pair that is settled meanwhile, whoever does it, if `wanted`."""
    if not wanted:
        yield
        return
    progress = CohortProgress(cohort, pending)
    over = threading.Event()
    thread = threading.Thread(target=progress.watch, args=(over,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        progress.look()


class CohortProgress:
    """Counts the pairs that are settled, and prints a line for each with the time that is left."""

    def __init__(self, cohort: Cohort, pending: Pending) -> None:
        self.cohort = cohort
        self.left = dict(pending)
        self.todo = len(pending)
        self.started = time.monotonic()

    def watch(self, over: threading.Event) -> None:
        """Look again and again until `over` is set."""
        while not over.wait(max(1.0, len(self.left) / LOOKS)):
            self.look()

    def look(self) -> None:
        """Print what was settled since the last look."""
        for job in [job for job, old in self.left.items() if is_settled(job, self.cohort, old)]:
            del self.left[job]
            print(self.line(job), file=sys.stderr, flush=True)

    def line(self, job: Job) -> str:
        """Return what is said of a settled job."""
        total = len(self.cohort.jobs)
        failed = failure_of(job)
        words = f"failed: {failed['reason']}" if failed is not None else "done"
        return f"[{total - len(self.left)}/{total}] {job.name}: {words}{self.ahead()}"

    def ahead(self) -> str:
        """Return about how long the rest takes, by the pairs so far."""
        done = self.todo - len(self.left)
        if not self.left:
            return ""
        seconds = (time.monotonic() - self.started) * len(self.left) / done
        return f"; about {duration(seconds)} left"


def duration(seconds: float) -> str:
    """Return a time in words of the size that matters: 40 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
