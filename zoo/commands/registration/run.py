"""`regzoo run`: register every pair of a plan's dataset."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING

from zoo.pipelines.cohort_options import CohortOptions
from zoo.pipelines.signatures import about, command_taking

if TYPE_CHECKING:
    from zoo.pipelines.run import CohortPlan


@dataclass(frozen=True)
class RunOptions(CohortOptions):
    """The request of the command: that of a run, and what is printed about it."""

    _: KW_ONLY
    dry_run: bool = field(
        default=False,
        metadata=about(
            "Only check the run and print what it would do: the pairs that are finished and "
            "pending, the disk space and the weights. Nothing is written. The exit code is 1 if a "
            "pair cannot be read."
        ),
    )
    json: bool = field(
        default=False,
        metadata=about("Print one JSON document: the folder of the run and summary.json."),
    )
    quiet: bool = field(default=False, metadata=about("Print errors and quality warnings only."))


@command_taking(RunOptions)
def run(options: RunOptions) -> int:
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
    """
    import sys

    from zoo.cohorts.summary import copy_summary, summary_text
    from zoo.commands._shared import QUALITY_FAILED, print_json, refuse_together, verdict_lines
    from zoo.pipelines.run import check_cohort, run_cohort

    def print_line(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    refuse_together(json=options.json, quiet=options.quiet)
    if options.dry_run:
        planned = check_cohort(options)
        if options.json:
            print_json({"dry_run": True, **vars(planned)})
        elif not options.quiet:
            print(described(planned))
        for row in planned.unreadable:
            print_line(f"regzoo: {row['name']} cannot be registered: {row['reason']}")
        return 1 if planned.unreadable else 0
    result = run_cohort(options, report=None if options.json or options.quiet else print_line)
    if options.json:
        copy_summary(result.folder, sys.stdout.write)
    elif options.quiet:
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
    return QUALITY_FAILED if options.strict and result.quality_failed else 0


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
