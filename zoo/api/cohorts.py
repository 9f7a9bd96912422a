"""`zoo.run`, `zoo.template` and `zoo.propagate`: many registrations at once."""

from __future__ import annotations

from os import PathLike
from typing import Literal

from zoo.errors import UserError
from zoo.pipelines.groups.options import PropagationOptions, TemplateOptions
from zoo.pipelines.groups.propagate import propagate_labels
from zoo.pipelines.groups.registrations import GroupResult
from zoo.pipelines.groups.template import make_template
from zoo.pipelines.run import CohortOptions, CohortResult, run_cohort
from zoo.pipelines.signatures import takes


def run(
    plan: str | PathLike[str],
    *,
    split: Literal["train", "val", "test", "all"] | None = None,
    out: str | PathLike[str] | None = None,
    workers: int | Literal["auto"] = 1,
    threads: int | None = None,
    device: str | None = None,
    model: str | PathLike[str] | None = None,
    effort: Literal["fast", "normal", "best"] | None = None,
    scheduler: str | None = None,
    cluster: Literal["slurm"] | None = None,
    cluster_config: str | PathLike[str] | None = None,
    report: Literal["full", "light", "none"] | None = None,
    strict: bool = False,
) -> CohortResult:
    """Register every pair of a dataset with the settings of its plan, and return the summary.

    Call it again with the same arguments to resume a run that was interrupted.

    Args:
        plan: The file of a plan for a dataset.
        split: The pairs to register: train, val, test or all. The default is the plan's split.
        out: The folder of the run. The default is PLAN-SPLIT next to the plan.
        workers: The number of worker processes on this computer, or of Slurm jobs. 1 needs no
            Dask; auto starts as many as the GPUs or the processors and the memory allow. A script
            that asks for several workers needs the guard `if __name__ == "__main__":`.
        threads: The number of CPU threads of each worker. The default shares the processors
            evenly.
        device: The device: cpu, cuda, cuda:1 or mps. The default is one GPU per worker, if any.
        model: A model of your own, by its name or its folder, whose settings and weights replace
            those of the plan. The default is the plan's model.
        effort: How much is computed: fast, normal or best. The default is the plan's effort.
        scheduler: The address of a running Dask scheduler, such as tcp://node1:8786.
        cluster: slurm submits the workers as jobs.
        cluster_config: The YAML file that describes the jobs: queue, walltime, memory, job_cpu.
        report: The report of each pair: full (with the interactive viewer, up to 8 MiB per pair),
            light (pictures only) or none. The default is that of the plan, otherwise full.
        strict: Raise `zoo.UserError` if the quality of any registration is failed. The results are
            written all the same.
    """
    options = CohortOptions(
        plan,
        split=split,
        out=out,
        workers=workers,
        threads=threads,
        device=device,
        model=model,
        effort=effort,
        scheduler=scheduler,
        cluster=cluster,
        cluster_config=cluster_config,
        report=report,
    )
    result = run_cohort(options)
    if strict and (failed := result.quality_failed):
        shown = ", ".join(failed[:5]) + (", ..." if len(failed) > 5 else "")
        raise UserError(
            f"the quality of {len(failed)} registration{'s' if len(failed) > 1 else ''} is failed "
            f"({shown}); the reasons are in {result.folder / 'summary.json'}"
        )
    return result


@takes(TemplateOptions)
def template(options: TemplateOptions) -> GroupResult:
    """Make a template, which has the mean shape and the mean appearance of a group of images.

    The folder of the result holds template.nii.gz, the transforms of all subjects, their labels by
    majority, and template.json, whose content the result has as `document`. Call it again with the
    same arguments to resume. A script that asks for several workers needs the guard
    `if __name__ == "__main__":`.
    """
    return make_template(options)


@takes(PropagationOptions)
def propagate(options: PropagationOptions) -> GroupResult:
    """Label images by several labelled atlases, each of which is registered to them.

    The folder of the result holds labels.nii.gz (locally weighted votes), labels_majority.nii.gz,
    confidence.nii.gz, and propagate.json, whose content the result has as `document`. Call it again
    with the same arguments to resume, or after atlases were added.
    """
    return propagate_labels(options)
