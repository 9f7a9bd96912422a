"""The registration of a cohort in this process: reading and saving overlap with registration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from zoo.cohorts.jobs import Cohort, Job
from zoo.cohorts.record import Failure, describe_failure
from zoo.cohorts.worker import LoadedJob, open_worker
from zoo.registration.result import RegisteredPair
from zoo.runtime.signals import Stopped, StopSignal

T = TypeVar("T")
R = TypeVar("R")

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


def process_overlapped(
    items: Iterator[T], process: Callable[[T], R | None], save: Callable[[T, R], None]
) -> None:
    """Process each item, while one thread loads the next item and another saves the last result.

    At most three items exist at a time, however many there are. An item for which `process` returns
    None is not saved. An exception of `process` ends the loop after the running load and save.
    """
    with ThreadPoolExecutor(1, "load") as loader, ThreadPoolExecutor(1, "save") as saver:
        loading = loader.submit(next, items, None)
        saving: Future[None] | None = None
        while (item := loading.result()) is not None:
            loading = loader.submit(next, items, None)
            result = process(item)
            if result is None:
                continue
            if saving is not None:
                saving.result()
            saving = saver.submit(save, item, result)
            del item, result  # frees their memory as soon as they are saved
        if saving is not None:
            saving.result()
