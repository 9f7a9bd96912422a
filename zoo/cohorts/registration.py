"""The registration of the pending pairs of a cohort, in this process or by workers."""

from __future__ import annotations

from zoo.cohorts.disk_space import require_space
from zoo.cohorts.distribution import Distribution
from zoo.cohorts.in_process import run_in_process
from zoo.cohorts.jobs import Cohort
from zoo.cohorts.machine import threads_per_process
from zoo.cohorts.progress import CohortProgress, Report
from zoo.cohorts.record import pending_jobs
from zoo.runtime.device import choose_device, use_threads
from zoo.runtime.signals import StopSignal


def register_pending(
    cohort: Cohort, distribution: Distribution, stop: StopSignal, report: Report | None
) -> None:
    """Register the pairs without a valid result, until all are settled or a stop is requested.

    `report` is called with one line of text per settled pair, and with lines about the workers.
    """
    pending = pending_jobs(cohort)
    require_space(pending, cohort, cohort.folder)
    progress = CohortProgress(cohort, len(pending), report)
    if pending and distribution.in_process:
        use_threads(threads_per_process(distribution.threads, 1))
        device = str(choose_device(distribution.device))
        run_in_process(cohort, pending, stop, device, progress.settle)
    elif pending:
        distribution.run(cohort, pending, stop, progress)
