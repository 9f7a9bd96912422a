"""The functions that take options of their own: one pair, and a cohort."""

from __future__ import annotations

import shutil
import weakref
from dataclasses import replace
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Literal

from zoo.api.inputs import as_files
from zoo.api.registration import Registration
from zoo.errors import UserError
from zoo.pipelines.options import RegistrationOptions
from zoo.pipelines.register import register_files
from zoo.pipelines.run import CohortOptions, CohortResult, run_cohort
from zoo.pipelines.signatures import takes
from zoo.registration.progress import in_notebook


@takes(RegistrationOptions)
def register(options: RegistrationOptions) -> Registration:
    """Register the moving image to the fixed image.

    An image, a label map or a mask is a path, a nibabel image, a pair (array [X, Y, Z], affine to
    RAS+ mm), a MONAI MetaTensor, a SimpleITK image or a `zoo.io.volume.Volume`. Nothing is printed;
    a notebook shows a progress bar.
    """
    folder = Path(mkdtemp(prefix="regzoo-") if options.out is None else options.out).absolute()
    moving = options.moving[0] if isinstance(options.moving, list) else options.moving
    registration = Registration(folder, (options.fixed, moving))
    if options.out is None:
        weakref.finalize(registration, shutil.rmtree, folder, ignore_errors=True)
    with TemporaryDirectory(prefix="regzoo-") as scratch:
        register_files(replace(as_files(options, Path(scratch)), out=folder), bar=in_notebook())
    if options.strict and registration.quality == "failed":
        raise UserError(f"the registration has failed: {' '.join(registration.warnings)}")
    return registration


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
    uncertainty: int | None = None,
    data: str | None = None,
    scratch: str | None = None,
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
        uncertainty: Register each pair so many more times, at least 2, each time with a small known
            perturbation, and write the standard deviation of the displacement in mm.
        data: The URL of a folder with the dataset, such as s3://bucket/study. The default is the
            folder that the plan was made for.
        scratch: The most disk space for local copies of files at a URL, of each worker, such as
            50GB. The default is 20 GiB.
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
        uncertainty=uncertainty,
        data=data,
        scratch=scratch,
    )
    result = run_cohort(options)
    if strict and (failed := result.quality_failed):
        shown = ", ".join(failed[:5]) + (", ..." if len(failed) > 5 else "")
        raise UserError(
            f"the quality of {len(failed)} registration{'s' if len(failed) > 1 else ''} is failed "
            f"({shown}); the reasons are in {result.folder / 'summary.json'}"
        )
    return result
