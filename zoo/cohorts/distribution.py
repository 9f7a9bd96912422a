"""Where a cohort is registered: in this process, or by the workers of a Dask scheduler.

Dask is an extra of the package. It is imported when workers are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.cohorts.jobs import Cohort, Job
from zoo.cohorts.machine import (
    memory_warning,
    threads_per_process,
    visible_gpus,
    worker_memory_mib,
    worker_variables,
    workers_for,
)
from zoo.cohorts.progress import CohortProgress
from zoo.errors import UserError
from zoo.resources import available_memory
from zoo.runtime.signals import StopSignal

CLUSTERS = ("slurm",)


@dataclass(frozen=True)
class Distribution:
    """The workers that a user asks for; `UserError` says what does not fit or is missing."""

    workers: int | str = 1
    threads: int | None = None
    device: str | None = None
    scheduler: str | None = None
    cluster: str | None = None
    cluster_config: Path | None = None

    def __post_init__(self) -> None:
        if self.workers != "auto":
            workers_for(self.workers, None, (), None)
        if self.scheduler is not None and (self.cluster is not None or str(self.workers) != "1"):
            raise UserError(
                "--scheduler uses the workers of a running cluster; leave out --workers and "
                "--cluster"
            )
        if self.cluster is not None and self.cluster not in CLUSTERS:
            raise UserError(f"--cluster {self.cluster!r} is not known; use {', '.join(CLUSTERS)}")
        if (self.cluster is None) != (self.cluster_config is None):
            raise UserError(
                "--cluster slurm and --cluster-config FILE.yaml belong together; give both or none"
            )
        if self.cluster is not None and self.workers == "auto":
            raise UserError("--workers auto is for this machine; give the number of Slurm jobs")
        if not self.in_process:
            require_dask()

    @property
    def remote(self) -> bool:
        """Whether the workers are on other machines."""
        return self.scheduler is not None or self.cluster is not None

    @property
    def in_process(self) -> bool:
        """Whether this process registers without Dask."""
        return not self.remote and str(self.workers) == "1"

    def run(
        self, cohort: Cohort, jobs: Sequence[Job], stop: StopSignal, progress: CohortProgress
    ) -> None:
        """Register jobs by workers until all are settled or a stop is requested."""
        from zoo.cohorts.clusters import quiet_dask
        from zoo.cohorts.dask_run import DaskRun

        def report(line: str) -> None:
            if progress.report is not None:
                progress.report(f"regzoo: {line}")

        need = None if self.scheduler is not None else worker_memory_mib(jobs, cohort)
        gpus = [] if self.remote else visible_gpus()
        count = 0 if self.scheduler else workers_for(self.workers, need, gpus, self.device)
        count = min(count, len(jobs))
        threads = self.threads if self.remote else threads_per_process(self.threads, count)
        if not self.remote and (warning := memory_warning(count, need)):
            report(warning)
        with quiet_dask(), self._address(count, need, gpus) as address:
            run = DaskRun(address, cohort, self.device, threads, report)
            run.register(jobs, stop, progress.settle)

    @contextmanager
    def _address(self, count: int, need: float | None, gpus: Sequence[str]) -> Iterator[Any]:
        """Yield the address of the scheduler, or the cluster that is started here."""
        from zoo.cohorts.clusters import local_cluster, slurm_cluster

        if self.scheduler is not None:
            yield self.scheduler
        elif self.cluster_config is not None:
            with slurm_cluster(self.cluster_config, count, need) as cluster:
                yield cluster
        else:
            variables = [worker_variables(k, self.device, gpus) for k in range(count)]
            with local_cluster(variables, available_memory() // count) as cluster:
                yield cluster


def require_dask() -> None:
    """Raise `UserError` if the packages of the extra `cluster` are not installed."""
    try:
        import cryptography  # noqa: F401
        import distributed  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"several workers need Dask ({error.name} is not installed): pip install "
            "'regzoo[cluster]', or use --workers 1"
        ) from None
