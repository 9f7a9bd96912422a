"""Progress of a run: one line per settled pair, whichever process settled it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from zoo.cohorts.jobs import Cohort, Job, failure_of, is_settled
from zoo.cohorts.locks import PendingJobs

MAX_CHECKS_PER_SECOND = 1000  # of jobs, each of which reads files

Report = Callable[[str], None]


@contextmanager
def progress_reported(
    cohort: Cohort, pending: PendingJobs, report: Report | None
) -> Iterator[None]:
    """Report each job that is settled inside the block, from a thread of its own."""
    if report is None:
        yield
        return
    progress = CohortProgress(cohort, pending, report)
    done = threading.Event()
    thread = threading.Thread(target=progress.watch, args=(done,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        progress.check()


class CohortProgress:
    """Counts the settled jobs and reports each with an estimate of the remaining time."""

    def __init__(self, cohort: Cohort, pending: PendingJobs, report: Report) -> None:
        self.cohort = cohort
        self.report = report
        self.unsettled = dict(pending)
        self.pending_count = len(pending)
        self.started = time.monotonic()

    def watch(self, done: threading.Event) -> None:
        """Check the jobs repeatedly until `done` is set."""
        while not done.wait(max(1.0, len(self.unsettled) / MAX_CHECKS_PER_SECOND)):
            self.check()

    def check(self) -> None:
        """Report the jobs that were settled since the last check."""
        settled = [
            job for job, failure in self.unsettled.items() if is_settled(job, self.cohort, failure)
        ]
        for job in settled:
            del self.unsettled[job]
            self.report(self.line(job))

    def line(self, job: Job) -> str:
        """Return the line about a settled job."""
        total = len(self.cohort.jobs)
        failure = failure_of(job)
        outcome = f"failed: {failure['reason']}" if failure is not None else "done"
        count = total - len(self.unsettled)
        return f"[{count}/{total}] {job.name}: {outcome}{self.remaining_time()}"

    def remaining_time(self) -> str:
        """Return an estimate of the remaining time from the time per pair so far."""
        if not self.unsettled:
            return ""
        settled = self.pending_count - len(self.unsettled)
        seconds = (time.monotonic() - self.started) * len(self.unsettled) / settled
        return f"; about {format_duration(seconds)} left"


def format_duration(seconds: float) -> str:
    """Return a duration in a suitable unit: 40 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
