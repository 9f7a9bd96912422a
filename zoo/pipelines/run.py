"""Register every pair of a plan's dataset."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from zoo.cohorts.digests import weights_sha256
from zoo.cohorts.disk_space import require_space, result_bytes, unreadable_image
from zoo.cohorts.distribution import Distribution
from zoo.cohorts.jobs import (
    Cohort,
    create_run_folder,
    locked_run_folder,
    plan_cohort,
    plan_of_run,
    refuse_other_run,
)
from zoo.cohorts.record import pending_jobs
from zoo.cohorts.registration import register_pending
from zoo.cohorts.summary import SUMMARY, Overview, write_summary
from zoo.errors import UserError
from zoo.evaluation.documents import read_result
from zoo.pipelines.cohort_options import CohortOptions
from zoo.planning.memory import parse_memory
from zoo.planning.weights import weights_used
from zoo.registration.uncertainty import require_perturbations
from zoo.runtime.device import choose_device
from zoo.runtime.signals import StopSignal


@dataclass(frozen=True)
class CohortResult:
    """The outcome of a run.

    Attributes:
        folder: The folder of the run.
        overview: What summary.json says about the whole run, and the pairs with warnings.
        stop_signal: The number of the signal that stopped the run; None without one.
    """

    folder: Path
    overview: Overview
    stop_signal: int | None = None

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The content of summary.json, read on first access: the figures of every pair."""
        return read_result(self.folder / SUMMARY)

    @property
    def quality_failed(self) -> list[str]:
        """The names of the registered pairs whose quality is failed."""
        return [pair.name for pair in self.overview.warned if pair.quality == "failed"]

    @property
    def complete(self) -> bool:
        """Whether every pair that the summary covers is registered."""
        return not (self.overview.document["errors"] or self.overview.document["missing"])


@dataclass(frozen=True)
class CohortPlan:
    """What a run would do, as JSON values: for `regzoo run --dry-run`.

    Attributes:
        folder: The folder of the run.
        model: The model of the plan.
        plan: The name and the preset of the plan.
        split: The split of the dataset.
        finished: The names of the pairs whose results match their files and settings.
        pending: The names of the pairs that would be registered.
        unreadable: The pending pairs whose headers cannot be read, with the reason.
        weights: Whether the weights at hand are those of the plan; None for a model without any.
        needed_bytes: An upper bound of the size of the pending results.
        free_bytes: The free space of the disk.
    """

    folder: str
    model: str
    plan: dict[str, Any]
    split: str
    finished: list[str]
    pending: list[str]
    unreadable: list[dict[str, str]]
    weights: dict[str, Any] | None
    needed_bytes: int
    free_bytes: int


def check_cohort(options: CohortOptions) -> CohortPlan:
    """Make the checks that precede a run, and say what it would do. Nothing is written."""
    _, cohort = _requested(options)
    refuse_other_run(cohort)
    parent = next(
        p for p in (cohort.folder.absolute(), *cohort.folder.absolute().parents) if p.exists()
    )
    if not parent.is_dir():
        raise UserError(f"cannot write {cohort.folder}: {parent} is a file; choose another --out")
    if not os.access(parent, os.W_OK):
        raise UserError(f"cannot write into {parent}; choose another --out")
    pending = pending_jobs(cohort)
    require_space(pending, cohort, parent)
    names = {job.name for job in pending}
    checked = pending if cohort.remote is None else []  # the files at a URL are not here
    reasons = {job.name: unreadable_image(job) for job in checked}
    used = weights_sha256(cohort.plan)
    section = cohort.plan["plan"]
    return CohortPlan(
        folder=str(cohort.folder),
        model=cohort.model,
        plan={"name": section["name"], "preset": section["preset"]},
        split=cohort.split,
        finished=[job.name for job in cohort.jobs if job.name not in names],
        pending=[job.name for job in pending],
        unreadable=[{"name": n, "reason": r} for n, r in reasons.items() if r is not None],
        weights=weights_used(cohort.plan, [used]),
        needed_bytes=sum(result_bytes(job, cohort) for job in pending),
        free_bytes=shutil.disk_usage(parent).free,
    )


def run_cohort(
    options: CohortOptions, *, report: Callable[[str], None] | None = None
) -> CohortResult:
    """Register every pair of a plan's dataset and write a summary.

    Pairs whose results match their files and the plan are not registered again, so that running the
    same plan again resumes a run. `report` is called with one line of text per settled pair, and
    with lines about the workers.
    """
    distribution, cohort = _requested(options)
    create_run_folder(cohort)
    with StopSignal() as stop, locked_run_folder(cohort.folder):
        register_pending(cohort, distribution, stop, report)
        overview = write_summary(cohort)
    return CohortResult(cohort.folder, overview, stop.number)


def _requested(options: CohortOptions) -> tuple[Distribution, Cohort]:
    """Check the options of a run; return its workers and its pairs. Nothing is written."""
    require_perturbations(options.uncertainty)
    config = None if options.cluster_config is None else Path(options.cluster_config)
    distribution = Distribution(
        options.workers,
        options.threads,
        options.device,
        options.scheduler,
        options.cluster,
        config,
    )
    if not distribution.remote:
        choose_device(options.device)
    folder = None if options.out is None else Path(options.out)
    chosen = plan_of_run(
        options.plan,
        options.split,
        folder,
        options.model,
        options.effort,
        options.report,
        options.data,
    )
    scratch = int(parse_memory(options.scratch, "--scratch") * 2**20)
    return distribution, plan_cohort(*chosen, options.uncertainty, scratch)
