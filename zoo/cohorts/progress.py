"""Progress of a run: the failures are recorded, and one line is reported per settled pair."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from zoo.cohorts.jobs import Cohort, Job
from zoo.cohorts.record import Failure, record_failure

Report = Callable[[str], None]


class CohortProgress:
    """Records each settled job and reports it with an estimate of the remaining time."""

    def __init__(self, cohort: Cohort, pending: int, report: Report | None) -> None:
        self.cohort = cohort
        self.report = report
        self.pending = self.unsettled = pending
        self.started = time.monotonic()
        self._lock = Lock()

    def settle(self, job: Job, failure: Failure | None) -> None:
        """Record the failure of a job, if any, and report the job. May be called by any thread."""
        if failure is not None:
            record_failure(self.cohort, job, failure)
        with self._lock:
            self.unsettled -= 1
            if self.report is not None:
                self.report(self.line(job, failure))

    def line(self, job: Job, failure: Failure | None) -> str:
        """Return the line about a settled job."""
        total = len(self.cohort.jobs)
        outcome = "done" if failure is None else f"failed: {failure['reason']}"
        count = total - self.unsettled
        return f"[{count}/{total}] {job.name}: {outcome}{self.remaining_time()}"

    def remaining_time(self) -> str:
        """Return an estimate of the remaining time from the time per pair so far."""
        if not self.unsettled:
            return ""
        settled = self.pending - self.unsettled
        seconds = (time.monotonic() - self.started) * self.unsettled / settled
        return f"; about {format_duration(seconds)} left"


def format_duration(seconds: float) -> str:
    """Return a duration in a suitable unit: 40 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
