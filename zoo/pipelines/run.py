"""Register every pair of a plan's dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from zoo.cohorts.disk_space import require_space
from zoo.cohorts.jobs import create_run_folder, pending_jobs, plan_cohort, plan_of_run
from zoo.cohorts.processes import (
    ProcessRank,
    device_of,
    local_world_size,
    rank_from_environment,
    threads_per_process,
)
from zoo.cohorts.runner import run_in_process, run_workers
from zoo.cohorts.summary import write_summary
from zoo.errors import UserError
from zoo.runtime.device import use_threads
from zoo.runtime.signals import StopSignal


@dataclass(frozen=True)
class CohortResult:
    """The outcome of a run.

    Attributes:
        folder: The folder of the run.
        summary: The content of summary.json. None in the processes of torchrun except the first.
        killed_workers: The number of worker processes that were killed.
        stop_signal: The number of the signal that stopped the run; None without one.
    """

    folder: Path
    summary: dict[str, Any] | None = None
    killed_workers: int = 0
    stop_signal: int | None = None

    @property
    def quality_failed(self) -> list[str]:
        """The names of the registered pairs whose quality is failed."""
        cases = [] if self.summary is None else self.summary["cases"]
        return [case["name"] for case in cases if case["quality"] == "failed"]

    @property
    def complete(self) -> bool:
        """Whether every pair that the summary covers is registered."""
        return self.summary is None or not (self.summary["errors"] or self.summary["missing"])


def run_cohort(
    plan: str | PathLike[str],
    *,
    split: str | None = None,
    out: str | PathLike[str] | None = None,
    workers: int = 1,
    threads: int | None = None,
    device: str | None = None,
    model: str | PathLike[str] | None = None,
    effort: Literal["fast", "normal", "best"] | None = None,
    report: Callable[[str], None] | None = None,
) -> CohortResult:
    """Register every pair of a plan's dataset and write a summary.

    Pairs whose results match their files and the plan are not registered again, so that running the
    same plan again resumes a run. Under torchrun each process registers a part of the pairs.

    Args:
        plan: The plan of a dataset, as `regzoo plan DATASET` writes it.
        split: The split to register: train, val, test or all; by default that of the plan.
        out: The folder of the run; by default PLAN-SPLIT beside the plan.
        workers: The number of worker processes on this machine.
        threads: The number of CPU threads of each process; by default an equal share.
        device: cpu, cuda, cuda:N or mps; by default the GPUs in turn if there are any.
        model: A model of one's own, by its name or its folder, whose settings and weights replace
            those of the plan. The default is the plan's model.
        effort: How much is computed: fast, normal or best; by default that of the plan.
        report: Is called with one line of text per settled pair.
    """
    rank = _rank(workers)
    device_of(device, 0)  # refuses an unknown device before anything is written
    each = threads_per_process(threads, max(workers, local_world_size()))
    use_threads(each)
    folder = None if out is None else Path(out)
    cohort = plan_cohort(*plan_of_run(plan, split, folder, model, effort))
    create_run_folder(cohort)
    killed = 0
    with StopSignal() as stop:
        pending = pending_jobs(cohort)
        require_space(pending, cohort.plan, cohort.folder)
        if pending and workers > 1:
            killed = run_workers(cohort, pending, stop, device, each, workers, report)
        elif pending:
            run_in_process(cohort, pending, stop, device, rank, report)
        summary = write_summary(cohort) if rank.rank == 0 else None
    return CohortResult(cohort.folder, summary, killed, stop.number)


def _rank(workers: int) -> ProcessRank:
    """Return the rank of this process and check the number of workers."""
    rank = rank_from_environment()
    if workers < 1:
        raise UserError(f"--workers {workers} must be 1 or more")
    if workers > 1 and rank is not None:
        raise UserError(
            f"--workers {workers} cannot be used under torchrun; set --nproc-per-node instead"
        )
    return rank or ProcessRank()
