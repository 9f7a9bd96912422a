"""`regzoo run`: every pair of a plan's dataset."""

from __future__ import annotations

from typing import Literal


def run(
    plan: str,
    *,
    split: Literal["train", "val", "test", "all"] | None = None,
    out: str | None = None,
    workers: int = 1,
    threads: int | None = None,
    device: str | None = None,
) -> int:
    """Register every pair of a dataset, as its plan says.

    Each pair has a folder with what `regzoo register` writes; summary.json, summary.csv and
    report.html are about all of them. The same command goes on where it was stopped or killed:
    what is finished stays, what has changed since is done again. A pair that fails does not stop
    the rest; the exit code is then 1. Under torchrun every process does its share.

    Examples:
        regzoo run plan.json --out runs/mcbo
        regzoo run plan.json --split test --workers 4
        torchrun --nproc-per-node 8 -m zoo run plan.json --out runs/mcbo

    Args:
        plan: what `regzoo plan DATASET --out plan.json` wrote.
        split: which pairs: train, val, test or all; by default those the plan names.
        out: the folder of the run; by default PLAN-SPLIT beside the plan.
        workers: how many processes of this machine share the work.
        threads: CPU threads of each process; by default the processors shared evenly.
        device: cpu, cuda, cuda:1 or mps; by default the GPUs in turn if there are any.
    """
    import sys
    from pathlib import Path

    from zoo.cohorts.disk_space import require_space
    from zoo.cohorts.jobs import (
        Cohort,
        begin,
        digest_of_settings,
        jobs_of,
        pending_jobs,
        plan_of_run,
    )
    from zoo.cohorts.runner import (
        device_of,
        local_world,
        run_here,
        run_workers,
        share_of_environment,
        threads_of,
    )
    from zoo.cohorts.summary import words, write_summary
    from zoo.cohorts.worker import Share, open_workflow, saver_of
    from zoo.errors import UserError
    from zoo.runtime.device import use_threads
    from zoo.runtime.signals import Stop

    ranks = share_of_environment()
    if workers < 1:
        raise UserError(f"--workers {workers} must be 1 or more")
    if workers > 1 and ranks is not None:
        raise UserError(f"--workers {workers} under torchrun: give it the number of processes")
    share = ranks or Share()
    use_threads(threads_of(threads, max(workers, local_world())))
    planned, folder = plan_of_run(plan, split, Path(out) if out else None)
    jobs = jobs_of(planned, folder)
    begin(planned, folder)
    with Stop() as stop:
        with open_workflow(folder, planned["plan"]["model"], device_of(device, 0)) as workflow:
            weights = saver_of(workflow).weights
            settings = digest_of_settings(
                planned, None if weights is None else weights.find().sha256
            )
        cohort = Cohort(folder, planned, settings, jobs)
        pending = pending_jobs(cohort)
        require_space(pending, planned, folder)
        killed = 0
        if pending and workers > 1:
            each = threads_of(threads, workers)
            killed = run_workers(cohort, pending, stop, device, each, workers)
        elif pending:
            run_here(cohort, pending, stop, device, share)
        if share.rank > 0:
            return stop.exit_code
        told = write_summary(cohort)
        print(words(told, folder))
        if killed:
            print(
                f"regzoo: {killed} of {workers} processes were killed, most likely for want of "
                "memory: use fewer --workers",
                file=sys.stderr,
            )
        if stop.wanted:
            print("regzoo: stopped; the same command goes on", file=sys.stderr)
            return stop.exit_code
        return int(bool(told["failed"] or told["missing"]))
