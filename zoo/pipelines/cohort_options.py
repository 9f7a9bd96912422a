"""The options of a run, declared once for the command, the pipeline and the Python API."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from os import PathLike
from typing import Literal

from zoo.pipelines.signatures import Flag, about

File = str | PathLike[str]

_FILE = Flag(type=str | None)


@dataclass(frozen=True)
class CohortOptions:
    """A request to register every pair of a plan's dataset."""

    plan: File = field(
        metadata=about(
            "The plan of a dataset, as `regzoo plan DATASET --out plan.json` writes it.",
            Flag(type=str),
        )
    )
    _: KW_ONLY
    split: Literal["train", "val", "test", "all"] | None = field(
        default=None,
        metadata=about(
            "The pairs to register: train, val, test or all. The default is the plan's split."
        ),
    )
    out: File | None = field(
        default=None,
        metadata=about(
            "The folder of the run. The default is PLAN-SPLIT beside the plan, or "
            "PLAN-EFFORT-SPLIT with an effort.",
            _FILE,
        ),
    )
    workers: int | Literal["auto"] = field(
        default=1,
        metadata=about(
            "The number of worker processes on this computer, or of Slurm jobs. 1 needs no Dask; "
            "auto starts as many as the GPUs or the processors and the memory allow. A script that "
            'asks for several workers needs the guard `if __name__ == "__main__":`.',
            Flag(
                type=str,
                default="1",
                help="The number of worker processes on this computer, or of Slurm jobs. 1 needs "
                "no Dask; auto starts as many as the GPUs or the processors and the memory allow.",
            ),
        ),
    )
    threads: int | None = field(
        default=None,
        metadata=about(
            "The number of CPU threads of each worker. The default is an equal share, and at a "
            "scheduler or under Slurm what OMP_NUM_THREADS says on the worker."
        ),
    )
    device: str | None = field(
        default=None,
        metadata=about(
            "The device: cpu, cuda, cuda:1 or mps. The default is one GPU per worker, if any."
        ),
    )
    model: File | None = field(
        default=None,
        metadata=about(
            "A model of your own, by its name or its folder, whose settings and weights replace "
            "those of the plan. The default is the plan's model.",
            _FILE,
        ),
    )
    effort: Literal["fast", "normal", "best"] | None = field(
        default=None,
        metadata=about(
            "How much is computed: fast, normal or best. The default is the plan's effort."
        ),
    )
    report: Literal["full", "light", "none"] | None = field(
        default=None,
        metadata=about(
            "The report of each pair: full (with the interactive viewer, up to 8 MiB per pair), "
            "light (pictures only) or none. The default is that of the plan, otherwise full."
        ),
    )
    uncertainty: int | None = field(
        default=None,
        metadata=about(
            "Register each pair so many more times, at least 2, each time with a small known "
            "perturbation, and write the standard deviation of the displacement in mm."
        ),
    )
    data: str | None = field(
        default=None,
        metadata=about(
            "The URL of a folder with the dataset, such as s3://bucket/study. The default is the "
            "folder that the plan was made for."
        ),
    )
    scratch: str = field(
        default="20GB",
        metadata=about("The most disk space for local copies of files at a URL, of each worker."),
    )
    scheduler: str | None = field(
        default=None,
        metadata=about("The address of a running Dask scheduler, such as tcp://node1:8786."),
    )
    cluster: Literal["slurm"] | None = field(
        default=None, metadata=about("slurm submits the workers as jobs.")
    )
    cluster_config: File | None = field(
        default=None,
        metadata=about(
            "The YAML file that describes the jobs: queue, walltime, memory, job_cpu.", _FILE
        ),
    )
    strict: bool = field(
        default=False,
        metadata=about(
            "Raise `zoo.UserError` if the quality of any registration is failed. The results are "
            "written all the same.",
            Flag(help="Exit with code 3 if the quality of any registration is failed."),
        ),
    )
