"""Register every pair of a plan's dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from zoo.cohorts.disk_space import require_space
from zoo.cohorts.distribution import Distribution
from zoo.cohorts.in_process import run_in_process
from zoo.cohorts.jobs import create_run_folder, locked_run_folder, plan_cohort, plan_of_run
from zoo.cohorts.machine import threads_per_process
from zoo.cohorts.progress import CohortProgress
from zoo.cohorts.record import pending_jobs
from zoo.cohorts.summary import write_summary
from zoo.handlers.output_files import Report
from zoo.runtime.device import choose_device, use_threads
from zoo.runtime.signals import StopSignal


@dataclass(frozen=True)
class CohortResult:
    """The outcome of a run.

    Attributes:
        folder: The folder of the run.
        summary: The content of summary.json.
        stop_signal: The number of the signal that stopped the run; None without one.
    """

    folder: Path
    summary: dict[str, Any]
    stop_signal: int | None = None

    @property
    def quality_failed(self) -> list[str]:
        """The names of the registered pairs whose quality is failed."""
        return [c["name"] for c in self.summary["cases"] if c["quality"] == "failed"]

    @property
    def complete(self) -> bool:
        """Whether every pair that the summary covers is registered."""
        return not (self.summary["errors"] or self.summary["missing"])


def run_cohort(
    plan: str | PathLike[str],
    *,
    split: str | None = None,
    out: str | PathLike[str] | None = None,
    workers: int | str = 1,
    threads: int | None = None,
    device: str | None = None,
    model: str | PathLike[str] | None = None,
    effort: Literal["fast", "normal", "best"] | None = None,
    pair_report: Report | None = None,
    scheduler: str | None = None,
    cluster: str | None = None,
    cluster_config: str | PathLike[str] | None = None,
    report: Callable[[str], None] | None = None,
) -> CohortResult:
    """Register every pair of a plan's dataset and write a summary.

    Pairs whose results match their files and the plan are not registered again, so that running the
    same plan again resumes a run.

    Args:
        plan: The plan of a dataset, as `regzoo plan DATASET` writes it.
        split: The split to register: train, val, test or all; by default that of the plan.
        out: The folder of the run; by default PLAN-SPLIT beside the plan.
        workers: The number of worker processes on this machine or of jobs of the cluster, or auto.
            One process registers here, without Dask.
        threads: The number of CPU threads of each worker; by default an equal share.
        device: cpu, cuda, cuda:N or mps; by default one GPU per worker if there are any.
        model: A model of one's own, by its name or its folder, whose settings and weights replace
            those of the plan. The default is the plan's model.
        effort: How much is computed: fast, normal or best; by default that of the plan.
        pair_report: The report of each pair: full, with the interactive viewer; light, pictures
            only; or none. The default is that of the plan, otherwise light.
        scheduler: The address of a running Dask scheduler, whose workers register the pairs.
        cluster: slurm, to start workers as jobs of Slurm.
        cluster_config: The YAML file that describes the jobs of `cluster`.
        report: Is called with one line of text per settled pair, and with lines about the workers.
    """
    config = None if cluster_config is None else Path(cluster_config)
    distribution = Distribution(workers, threads, device, scheduler, cluster, config)
    if not distribution.remote:
        choose_device(device)  # refuses an unknown device before anything is written
    folder = None if out is None else Path(out)
    cohort = plan_cohort(*plan_of_run(plan, split, folder, model, effort, pair_report))
    create_run_folder(cohort)
    with StopSignal() as stop, locked_run_folder(cohort):
        pending = pending_jobs(cohort)
        require_space(pending, cohort.plan, cohort.folder)
        progress = CohortProgress(cohort, len(pending), report)
        if pending and distribution.in_process:
            use_threads(threads_per_process(threads, 1))
            run_in_process(cohort, pending, stop, str(choose_device(device)), progress.settle)
        elif pending:
            distribution.run(cohort, pending, stop, progress)
        summary = write_summary(cohort)
    return CohortResult(cohort.folder, summary, stop.number)
