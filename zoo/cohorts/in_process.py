"""The registration of a cohort in this process, without a scheduler."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from zoo.cohorts.jobs import Cohort, Job
from zoo.cohorts.overlap import process_overlapped
from zoo.cohorts.record import Failure, describe_failure
from zoo.cohorts.worker import LoadedJob, open_worker
from zoo.registration.result import RegisteredPair
from zoo.runtime.signals import Stopped, StopSignal

Settled = Callable[[Job, "Failure | None"], None]
"""Is called once for each job that has been registered or has failed, from any thread."""


def run_in_process(
    cohort: Cohort, jobs: Sequence[Job], stop: StopSignal, device: str, settled: Settled
) -> None:
    """Register jobs one after the other; loading and saving overlap with registration.

    When a signal requests a stop, the registration in progress is dropped and the results in memory
    are saved.
    """
    with open_worker(cohort, device) as worker:

        def loaded() -> Iterator[LoadedJob]:
            for job in jobs:
                if stop.requested:
                    return
                worker.require_space(job)
                try:
                    yield worker.load(job)
                except Exception as error:
                    settled(job, describe_failure(error))

        def register(item: LoadedJob) -> RegisteredPair | None:
            try:
                with stop.interruptible():
                    return worker.register(item)
            except Exception as error:
                settled(item.job, describe_failure(error))
                return None

        def save(item: LoadedJob, registration: RegisteredPair) -> None:
            try:
                worker.save(item, registration)
            except Exception as error:
                settled(item.job, describe_failure(error))
            else:
                settled(item.job, None)

        with suppress(Stopped):
            process_overlapped(loaded(), register, save)
