"""Dask clusters: worker processes on this machine, or jobs of Slurm."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import dask
from distributed import Nanny, Scheduler, Security, SpecCluster

from zoo.cohorts.worker import THREADS
from zoo.errors import UserError, nearest
from zoo.io.yaml_documents import read_yaml_mapping
from zoo.resources import safe_import_path

LOCAL = "127.0.0.1"
LOGGERS = (
    *("distributed", "distributed.client", "tornado", "tornado.application"),
    *("asyncio", "bokeh", "dask_jobqueue"),
)
SETTINGS = {
    # Workers have the environment of this process, so that their results do.
    "distributed.nanny.pre-spawn-environ": {},
    "distributed.worker.profile.enabled": False,
    # The workers hold no data for Dask, so that there is nothing to move to the disk.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
}
SLURM_KEYS = {
    *("queue", "account", "walltime", "memory", "job_cpu", "job_mem", "job_extra_directives"),
    *(
        "job_script_prologue",
        "job_directives_skip",
        "log_directory",
        "local_directory",
        "interface",
    ),
    *("python", "shebang", "worker_extra_args", "job_name", "scheduler_options"),
}
"""The keys of a --cluster-config file: those arguments of dask_jobqueue.SLURMCluster that regzoo
does not set itself."""


@contextmanager
def quiet_dask() -> Iterator[None]:
    """Keep the log of Dask, which repeats what the run reports, from the user's terminal."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextmanager
def local_cluster(
    variables: Sequence[Mapping[str, str]], memory: int, threads: int = THREADS
) -> Iterator[SpecCluster]:
    """Start worker processes on this machine, one for each mapping of environment variables.

    Each has at most `memory` bytes; a process that needs more is ended and started again. Their
    connections are encrypted, so that no other user of the machine can send them tasks.
    """
    security = Security.temporary()
    common = {"host": LOCAL, "protocol": "tls://", "security": security}
    scheduler = {
        "cls": Scheduler,
        "options": {**common, "port": 0, "dashboard": True, "dashboard_address": f"{LOCAL}:0"},
    }
    quiet = {"silence_logs": logging.CRITICAL + 1, "dashboard": False}
    workers = {
        k: {
            "cls": Nanny,
            "options": {
                **common, **quiet, "nthreads": threads, "memory_limit": memory, "env": dict(env)
            },
        }
        for k, env in enumerate(variables)
    }  # fmt: skip
    with dask.config.set(SETTINGS), safe_import_path():
        with _interrupts_deferred():
            cluster = _started(workers, scheduler, security)
        with cluster:
            yield cluster


def _started(
    workers: Mapping[int, Any], scheduler: Mapping[str, Any], security: Security
) -> SpecCluster:
    """Start the scheduler and the workers; `UserError` if they do not."""
    try:
        return SpecCluster(workers, scheduler, security=security)
    except (OSError, RuntimeError, TimeoutError) as error:
        raise UserError(
            f"the {len(workers)} workers did not start ({error}); use fewer --workers"
        ) from error


@contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Deliver a Ctrl-C of the block after it, and to this process only.

    The threads and processes that start in the block never see it, because they inherit the mask of
    signals. The cluster ends its workers itself.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # Otherwise the first process that starts would start it, which unblocks the signal.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def slurm_cluster(config: Path, jobs: int, need_mib: float | None) -> Iterator[Any]:
    """Start a scheduler in this process and `jobs` Slurm jobs with one worker each.

    Jobs that end before the run does, for instance at the limit of their time, are replaced.
    """
    cluster = make_slurm_cluster(config, need_mib)
    with cluster:
        cluster.adapt(minimum_jobs=jobs, maximum_jobs=jobs)
        yield cluster


def make_slurm_cluster(config: Path, need_mib: float | None) -> Any:
    """Return a SLURMCluster without jobs, as a --cluster-config file describes it.

    Without `memory` in the file, a job gets the `need_mib` of a worker and a quarter more.
    """
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError:
        raise UserError(
            "--cluster slurm needs dask-jobqueue, which is not installed: pip install "
            "'regzoo[slurm]'"
        ) from None
    options = read_yaml_mapping(config)
    for key in options:
        if key not in SLURM_KEYS:
            raise UserError(
                f"{config}: {key!r} is not a setting of --cluster slurm{nearest(key, SLURM_KEYS)}; "
                f"use {', '.join(sorted(SLURM_KEYS))}"
            )
    if "memory" not in options:
        if need_mib is None:
            raise UserError(f"{config}: write the memory of a job, such as memory: 16GB")
        options["memory"] = f"{1.25 * need_mib:.0f}MiB"
    try:
        return SLURMCluster(cores=THREADS, processes=1, **options)
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        raise UserError(f"{config}: the cluster cannot be set up ({error}); correct it") from error
