"""What runs in a Dask worker: a plugin that holds the model, and the task of one pair."""

from __future__ import annotations

import asyncio
import platform
from contextlib import ExitStack
from dataclasses import replace

from distributed import Worker, WorkerPlugin, get_worker

from zoo import __version__
from zoo.cohorts.jobs import PLAN, Cohort, Job
from zoo.cohorts.record import Failure
from zoo.cohorts.worker import PairWorker, open_worker
from zoo.errors import UserError
from zoo.runtime.device import choose_device, use_threads


class CohortPlugin(WorkerPlugin):
    """Opens the model of a cohort when a worker starts or joins, and keeps it until the run ends.

    A worker that cannot open the model leaves the cluster, so that it gets no pairs.
    """

    def __init__(self, name: str, cohort: Cohort, device: str | None, threads: int | None) -> None:
        self.name = name
        self.cohort = replace(cohort, jobs=())
        self.device = device
        self.threads = threads
        self.version = __version__
        self.pair_worker: PairWorker | None = None

    async def setup(self, worker: Worker) -> None:
        """Open the model without blocking the connection to the scheduler."""
        # Freed memory is kept by the process, so that a worker above Dask's limit for a pause would
        # never go on.
        worker.memory_manager.memory_pause_fraction = False
        self._stack = ExitStack()
        try:
            self.pair_worker = await asyncio.to_thread(self._open)
        except Exception as error:
            worker.loop.add_callback(worker.close, reason="regzoo: no model", nanny=True)
            text = (
                str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            )
            raise UserError(f"the worker {worker.address} ({platform.node()}): {text}") from None

    def teardown(self, worker: Worker) -> None:
        """Release the model."""
        self._stack.close()

    def _open(self) -> PairWorker:
        if self.version != __version__:
            raise UserError(
                f"it has regzoo {__version__}, and the run was started with {self.version}; "
                "install the same version"
            )
        if not (self.cohort.folder / PLAN).is_file():
            raise UserError(
                f"it does not see {self.cohort.folder}; choose an --out on a file system that all "
                "workers share"
            )
        use_threads(self.threads)
        device = str(choose_device(self.device))
        return self._stack.enter_context(open_worker(self.cohort, device))


def register_pair(job: Job, plugin: str) -> Failure | None:
    """Register a pair with the model that a plugin of this worker holds."""
    held = get_worker().plugins[plugin]
    assert isinstance(held, CohortPlugin)
    assert held.pair_worker is not None
    return held.pair_worker.run(job)
