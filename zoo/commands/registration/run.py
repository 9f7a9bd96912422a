"""`regzoo run`: register every pair of a plan's dataset."""

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
    model: str | None = None,
    effort: Literal["fast", "normal", "best"] | None = None,
    strict: bool = False,
) -> int:
    """Register every pair of a dataset according to its plan.

    Each pair gets a folder with the files that `regzoo register` writes; summary.json, summary.csv
    and report.html describe the whole run. Run the same command again to resume a run that was
    stopped or killed: finished pairs are kept, and pairs whose files or settings have changed are
    registered again. A pair that cannot be registered does not stop the run; it is listed as an
    error, and the exit code is then 1. The quality of every registration is ok, check or failed;
    the reasons are printed at the end, and so is whether the weights are those of the plan. Under
    torchrun each process registers a part of the pairs.

    Examples:
        regzoo run plan.json --out runs/mcbo
        regzoo run plan.json --split test --workers 4
        regzoo run plan.json --model my_model
        torchrun --nproc-per-node 8 -m zoo run plan.json --out runs/mcbo

    Args:
        plan: The plan of a dataset, as `regzoo plan DATASET --out plan.json` writes it.
        split: The pairs to register: train, val, test or all. The default is the plan's split.
        out: The folder of the run. The default is PLAN-SPLIT beside the plan, or PLAN-EFFORT-SPLIT
            with --effort.
        workers: The number of worker processes on this computer.
        threads: The number of CPU threads of each process. The default is an equal share.
        device: The device: cpu, cuda, cuda:1 or mps. The default is all GPUs in turn, if any.
        model: A model of your own, by its name or its folder, whose settings and weights replace
            those of the plan. The default is the plan's model.
        effort: How much is computed: fast, normal or best. The default is the plan's effort.
        strict: Exit with code 3 if the quality of any registration is failed.
    """
    import sys

    from zoo.cohorts.summary import summary_text
    from zoo.commands._shared import QUALITY_FAILED, verdict_lines
    from zoo.pipelines.run import run_cohort

    def report(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    result = run_cohort(
        plan,
        split=split,
        out=out,
        workers=workers,
        threads=threads,
        device=device,
        model=model,
        effort=effort,
        report=report,
    )
    if result.summary is not None:
        print(summary_text(result.summary, result.folder))
        for case in result.summary["cases"]:
            for line in verdict_lines(case["quality"], case["warnings"]):
                report(f"regzoo: {case['name']}: {line}")
        if result.killed_workers:
            report(
                f"regzoo: {result.killed_workers} of {workers} worker processes were killed, most "
                "likely because memory ran out: use fewer --workers"
            )
        if result.stop_signal is not None:
            report("regzoo: stopped; run the same command again to resume")
    if result.stop_signal is not None:
        return 128 + result.stop_signal
    if not result.complete:
        return 1
    return QUALITY_FAILED if strict and result.quality_failed else 0
