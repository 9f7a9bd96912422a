"""The registration of a cohort by Dask: pairs are submitted, and their outcomes are collected.

Dask decides which worker registers which pair, and gives the pairs of a lost worker to others. A
scheduler that is lost as well is awaited; the unfinished pairs are then submitted again.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any

from distributed import Client, Future, KilledWorker
from distributed.comm import CommClosedError

from zoo.cohorts.dask_worker import CohortPlugin, register_pair
from zoo.cohorts.in_process import Settled
from zoo.cohorts.jobs import Cohort, Job
from zoo.cohorts.progress import Report
from zoo.cohorts.record import Failure, describe_failure
from zoo.errors import UserError
from zoo.runtime.signals import StopSignal

IN_FLIGHT = 1000
"""The largest number of submitted pairs, so that the scheduler's memory does not grow with the
number of pairs."""
POLL_SECONDS = 0.2
CONNECT_SECONDS = 30
RETRY_SECONDS = 5
RECONNECT_SECONDS = 600
CLOSE_SECONDS = 2


class SchedulerLostError(Exception):
    """The connection to the scheduler broke."""


@dataclass(frozen=True)
class DaskRun:
    """A cohort that is registered on the scheduler at `address`.

    `address` is also a cluster object of this process, whose scheduler is never lost. `device` and
    `threads` are those of each worker; `report` is called with lines about the cluster.
    """

    address: Any
    cohort: Cohort
    device: str | None
    threads: int | None
    report: Report

    def register(self, jobs: Sequence[Job], stop: StopSignal, settled: Settled) -> None:
        """Register jobs until all are settled or a stop is requested."""
        remaining = dict.fromkeys(jobs)

        def settle(job: Job, failure: Failure | None) -> None:
            del remaining[job]
            settled(job, failure)

        client: Client | None = self.connect(CONNECT_SECONDS)
        while client is not None:
            try:
                with _closed(client):
                    self._register(client, list(remaining), stop, settle)
                return
            except SchedulerLostError:
                self.report("the connection to the scheduler is lost; waiting for it")
                client = self._reconnect(stop)

    def connect(self, seconds: float) -> Client:
        """Return a client of the scheduler; `UserError` if there is none."""
        try:
            return Client(self.address, timeout=seconds, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise UserError(
                f"no connection to the scheduler {self.address} ({error}); start it with dask "
                "scheduler, and give its address as --scheduler tcp://HOST:8786"
            ) from error

    def _reconnect(self, stop: StopSignal) -> Client | None:
        """Return a client of a scheduler that was restarted; None if a stop is requested."""
        end = time.monotonic() + RECONNECT_SECONDS
        while not stop.requested:
            try:
                return self.connect(RETRY_SECONDS)
            except UserError:
                if time.monotonic() > end:
                    raise
                time.sleep(POLL_SECONDS)
        return None

    def _register(
        self, client: Client, jobs: Sequence[Job], stop: StopSignal, settled: Settled
    ) -> None:
        """Register jobs with one connection."""
        name = f"regzoo-{secrets.token_hex(4)}"
        self.report(f"dashboard: {client.dashboard_link}")
        with _lost_as_error():
            client.subscribe_topic("all", self._on_event)
            client.register_plugin(CohortPlugin(name, self.cohort, self.device, self.threads))
            if not client.nthreads():
                self.report("no workers have joined yet; waiting for them")
        try:
            collect(client, name, jobs, stop, settled)
        finally:
            with suppress(Exception):
                client.unsubscribe_topic("all")
                client.unregister_worker_plugin(name)

    def _on_event(self, event: tuple[float, Any]) -> None:
        """Report a worker that the scheduler has lost."""
        message = event[1]
        if isinstance(message, dict) and message.get("action") == "remove-worker":
            self.report(f"the worker {message.get('worker')} has left; others take over its pairs")


def collect(
    client: Client, plugin: str, jobs: Sequence[Job], stop: StopSignal, settled: Settled
) -> None:
    """Submit jobs, at most `IN_FLIGHT` at a time, and settle each one.

    `SchedulerLostError` is raised if the connection breaks before all jobs are settled.
    """
    waiting = iter(jobs)
    done: SimpleQueue[Future[Any]] = SimpleQueue()
    in_flight: dict[Any, tuple[Job, Future[Any]]] = {}

    def submit(count: int) -> None:
        batch = list(islice(waiting, count))
        keys = [(plugin, job.name) for job in batch]
        with _lost_as_error():
            futures = client.map(register_pair, batch, key=keys, plugin=plugin) if batch else []
        for job, future in zip(batch, futures, strict=True):
            in_flight[future.key] = job, future
            future.add_done_callback(done.put)

    try:
        submit(IN_FLIGHT)
        while in_flight and not stop.requested:
            finished = list(_drained(done))
            failures = outcomes(client, finished)
            for future, failure in zip(finished, failures, strict=True):
                settled(in_flight.pop(future.key)[0], failure)
            submit(len(finished))
    finally:
        with suppress(Exception):
            client.cancel([future for _, future in in_flight.values()])


def outcomes(client: Client, futures: Sequence[Future[Any]]) -> Iterator[Failure | None]:
    """Return the failure of each finished task, or None.

    An exception of a task that concerns the whole run, such as a full disk, is raised.
    """
    good = [future for future in futures if future.status == "finished"]
    with _lost_as_error():
        values = dict(zip([f.key for f in good], client.gather(good), strict=True))
    for future in futures:
        if future.key in values:
            yield values[future.key]
            continue
        if future.status != "error":
            raise SchedulerLostError
        with _lost_as_error():
            error = future.exception()
        yield failure_of_task(error)


def failure_of_task(error: Exception) -> Failure:
    """Return the failure of a pair from the error of its task; raise what concerns all pairs."""
    if isinstance(error, KilledWorker):
        return {
            "reason": f"{error.allowed_failures + 1} worker processes ended while they had this "
            "pair, most likely because memory ran out: use fewer workers"
        }
    if isinstance(error, UserError):
        raise error
    return describe_failure(error)


@contextmanager
def _lost_as_error() -> Iterator[None]:
    """Turn the errors of a broken connection into `SchedulerLostError`."""
    try:
        yield
    except (CommClosedError, CancelledError, OSError, TimeoutError) as error:
        raise SchedulerLostError from error


@contextmanager
def _closed(client: Client) -> Iterator[None]:
    """Close a client after the block, also if its scheduler is lost."""
    try:
        yield
    finally:
        with suppress(Exception):
            client.close(timeout=CLOSE_SECONDS)


def _drained(done: SimpleQueue[Future[Any]]) -> Iterator[Future[Any]]:
    """Yield the futures that are done, after waiting a moment for the first one."""
    with suppress(Empty):
        yield done.get(timeout=POLL_SECONDS)
        while True:
            yield done.get_nowait()
