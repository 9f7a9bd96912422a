"""`regzoo run`: register every pair of a plan's dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from zoo.pipelines.run import CohortPlan


def run(
    plan: str,
    *,
    split: Literal["train", "val", "test", "all"] | None = None,
    out: str | None = None,
    workers: str = "1",
    threads: int | None = None,
    device: str | None = None,
    model: str | None = None,
    effort: Literal["fast", "normal", "best"] | None = None,
    report: Literal["full", "light", "none"] | None = None,
    uncertainty: int | None = None,
    data: str | None = None,
    scratch: str | None = None,
    scheduler: str | None = None,
    cluster: Literal["slurm"] | None = None,
    cluster_config: str | None = None,
    strict: bool = False,
    dry_run: bool = False,
    json: bool = False,
    quiet: bool = False,
) -> int:
    """Register every pair of a dataset according to its plan.

    Each pair gets a folder with the files that `regzoo register` writes; summary.json, summary.csv
    and report.html describe the whole run. Run the same command again to resume a run that was
    stopped or killed: finished pairs are kept, and pairs whose files or settings have changed are
    registered again. A pair that cannot be registered does not stop the run; it is listed as an
    error, and the exit code is then 1. The quality of every registration is ok, check or failed;
    the reasons are printed at the end, and so is whether the weights are those of the plan.

    Several workers need Dask (pip install 'regzoo[cluster]'). They run on this computer, at a
    running Dask scheduler, or as jobs of Slurm; all of them need to see the images and the folder
    of the run under the same names.

    Examples:
        regzoo run plan.json --out runs/mcbo
        regzoo run plan.json --split test --workers 4
        regzoo run plan.json --model my_model
        regzoo run plan.json --out runs/mcbo --dry-run
        regzoo run plan.json --out runs/mcbo --json
        regzoo run plan.json --out runs/mcbo --data s3://bucket/study
        regzoo run plan.json --scheduler tcp://node1:8786
        regzoo run plan.json --cluster slurm --cluster-config slurm.yaml --workers 20

    Args:
        plan: The plan of a dataset, as `regzoo plan DATASET --out plan.json` writes it.
        split: The pairs to register: train, val, test or all. The default is the plan's split.
        out: The folder of the run. The default is PLAN-SPLIT beside the plan, or PLAN-EFFORT-SPLIT
            with --effort.
        workers: The number of worker processes on this computer, or of Slurm jobs. 1 needs no
            Dask; auto starts as many as the GPUs or the processors and the memory allow.
        threads: The number of CPU threads of each worker. The default is an equal share, and at a
            scheduler or under Slurm what OMP_NUM_THREADS says on the worker.
        device: The device: cpu, cuda, cuda:1 or mps. The default is one GPU per worker, if any.
        model: A model of your own, by its name or its folder, whose settings and weights replace
            those of the plan. The default is the plan's model.
        effort: How much is computed: fast, normal or best. The default is the plan's effort.
        report: The report of each pair: full (with the interactive viewer, up to 8 MiB per pair),
            light (pictures only) or none. The default is that of the plan, otherwise full.
        uncertainty: Register each pair so many more times, at least 2, each time with a small known
            perturbation, and write the standard deviation of the displacement in mm.
        data: The URL of a folder with the dataset, such as s3://bucket/study. The default is the
            folder that the plan was made for.
        scratch: The most disk space for local copies of files at a URL, of each worker, such as
            50GB. The default is 20 GiB.
        scheduler: The address of a running Dask scheduler, such as tcp://node1:8786.
        cluster: slurm submits the workers as jobs.
        cluster_config: The YAML file that describes the jobs: queue, walltime, memory, job_cpu.
        strict: Exit with code 3 if the quality of any registration is failed.
        dry_run: Only check the run and print what it would do: the pairs that are finished and
            pending, the disk space and the weights. Nothing is written. The exit code is 1 if a
            pair cannot be read.
        json: Print one JSON document: the folder of the run and summary.json.
        quiet: Print errors and quality warnings only.
    """
    import sys

    from zoo.cohorts.summary import copy_summary, summary_text
    from zoo.commands._shared import QUALITY_FAILED, print_json, refuse_together, verdict_lines
    from zoo.pipelines.run import CohortOptions, check_cohort, run_cohort

    def print_line(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    refuse_together(json=json, quiet=quiet)
    options = CohortOptions(
        plan,
        split=split,
        out=out,
        workers=workers,
        threads=threads,
        device=device,
        model=model,
        effort=effort,
        report=report,
        uncertainty=uncertainty,
        data=data,
        scratch=scratch,
        scheduler=scheduler,
        cluster=cluster,
        cluster_config=cluster_config,
    )
    if dry_run:
        planned = check_cohort(options)
        if json:
            print_json({"dry_run": True, **vars(planned)})
        elif not quiet:
            print(described(planned))
        for row in planned.unreadable:
            print_line(f"regzoo: {row['name']} cannot be registered: {row['reason']}")
        return 1 if planned.unreadable else 0
    result = run_cohort(options, report=None if json or quiet else print_line)
    if json:
        copy_summary(result.folder, sys.stdout.write)
    elif quiet:
        for row in result.overview.document["errors"]:
            print_line(f"regzoo: {row['name']} could not be registered: {row['reason']}")
    else:
        print(summary_text(result.overview.document, result.folder))
    for pair in result.overview.warned:
        for line in verdict_lines(pair.quality, pair.warnings):
            print_line(f"regzoo: {pair.name}: {line}")
    if result.stop_signal is not None:
        print_line("regzoo: stopped; run the same command again to resume")
        return 128 + result.stop_signal
    if not result.complete:
        return 1
    return QUALITY_FAILED if strict and result.quality_failed else 0


def described(planned: CohortPlan) -> str:
    """Return what a run would do as text."""
    from zoo.cohorts.disk_space import size_text
    from zoo.commands._shared import counted
    from zoo.planning.weights import weights_text

    finished, pending = len(planned.finished), len(planned.pending)
    pairs = counted(finished + pending, "pair")
    shown = ", ".join(planned.pending[:5]) + (", ..." if pending > 5 else "")
    lines = [
        f"model {planned.model}, plan {planned.plan['name']}, preset {planned.plan['preset']}",
        f"{pairs} of the split {planned.split}: {finished} finished, {pending} pending",
        *([f"pending: {shown}"] if pending else []),
        *([text] if (text := weights_text(planned.weights)) else []),
        f"the results need up to {size_text(planned.needed_bytes)} in {planned.folder}; "
        f"{size_text(planned.free_bytes)} are free"
        if pending
        else f"nothing is left to register in {planned.folder}",
        "Nothing was written" if planned.unreadable else "The checks passed; nothing was written",
    ]
    return "\n".join(lines)
