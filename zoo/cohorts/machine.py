"""The share of this machine that each worker process gets: GPU, CPU threads and memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch

from zoo.cohorts.jobs import Cohort, Job
from zoo.cohorts.worker import THREADS
from zoo.errors import UserError
from zoo.hub.catalogue import find_model
from zoo.io.volume import ImageHeader, read_header
from zoo.planning.budget import working_voxels
from zoo.planning.evidence import Evidence
from zoo.planning.memory import IMAGES, find_memory_model, measurement_name, memory_models
from zoo.planning.plan import for_a_pair
from zoo.resources import available_cores, available_memory

SAMPLED_PAIRS = 200
"""The memory of a pair is that of the largest of this many pairs, evenly chosen."""
VOXEL_BYTES = 4  # of an image in memory
SPREAD_BYTES = 16  # per voxel of the fixed image, for the uncertainty


def threads_per_process(requested: int | None, processes: int) -> int | None:
    """Return the number of CPU threads for each of several processes of this machine.

    This is the requested number, else None if OMP_NUM_THREADS is set, else an equal share of the
    processors that this process may use.
    """
    if requested is not None or os.environ.get("OMP_NUM_THREADS"):
        return requested
    return max(1, available_cores() // processes)


def visible_gpus() -> list[str]:
    """Return the CUDA devices that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    return named[:count] if named != [""] else [str(k) for k in range(count)]


def worker_variables(worker: int, device: str | None, gpus: Sequence[str]) -> dict[str, str]:
    """Return the environment variables of a worker: one GPU, in turn, unless a device is given."""
    return {"CUDA_VISIBLE_DEVICES": gpus[worker % len(gpus)]} if gpus and device is None else {}


def workers_for(
    requested: str | int, need_mib: float | None, gpus: Sequence[str], device: str | None
) -> int:
    """Return the number of worker processes, which is 1 or more.

    "auto" means one process per GPU or else one per processor, as far as the memory suffices.
    """
    text = str(requested)
    if text == "auto":
        count = len(gpus) if gpus and device in (None, "cuda") else available_cores()
        return max(1, min(count, fitting_workers(need_mib, count)))
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"--workers {requested} must be 1 or more, or auto")
    return int(text)


def fitting_workers(need_mib: float | None, otherwise: int) -> int:
    """Return how many processes fit into the free memory; `otherwise` if their need is unknown."""
    return otherwise if not need_mib else int(available_memory() / 2**20 / need_mib)


def memory_warning(workers: int, need_mib: float | None) -> str | None:
    """Return a warning if the workers may need more than the free memory."""
    fitting = fitting_workers(need_mib, workers)
    if workers <= max(1, fitting):
        return None
    free = available_memory() / 2**30
    return (
        f"{workers} workers may need {workers * (need_mib or 0) / 1024:.1f} GiB, and {free:.1f} "
        "GiB are free; a worker without memory is ended and its pairs are tried again: use "
        f"--workers {max(1, fitting)}"
    )


def worker_memory_mib(jobs: Sequence[Job], cohort: Cohort) -> float | None:
    """Return the peak memory of a worker, MiB, from the measurements that the planner uses.

    A worker registers one pair and holds the images of the others that it reads or saves. The
    result is None if the memory of the plan's model was not measured.
    """
    step = max(1, len(jobs) // SAMPLED_PAIRS)
    needs = [_pair_memory_mib(job, cohort) for job in jobs[::step]]
    known = [need for need in needs if need is not None]
    return max(known, default=None)


def _pair_memory_mib(job: Job, cohort: Cohort) -> float | None:
    """Return the peak memory with one pair, MiB; None if it is unknown."""
    plan = cohort.plan
    try:
        headers = [read_header(path) for path in (job.files.fixed, *job.files.moving)]
        spec, settings = find_model(str(plan["plan"]["model"])), for_a_pair(plan)
        measured = memory_models().get(measurement_name(spec, settings))
        voxels = working_voxels(_evidence_of(headers[0]), spec, settings)
    except UserError:
        return None
    if measured is None:
        return None
    images = find_memory_model(IMAGES).peak_mib(max(header.grid.voxels for header in headers))
    waiting = sum(header.grid.voxels for header in headers) * VOXEL_BYTES / 2**20
    perturbed = 0.0  # the perturbed copies, and the mean and variance of the displacement
    if cohort.uncertainty is not None:
        perturbed = waiting + headers[0].grid.voxels * SPREAD_BYTES / 2**20
    return max(measured.peak_mib(voxels), images) + perturbed + (THREADS - 1) * waiting


def _evidence_of(header: ImageHeader) -> Evidence:
    """Return what the memory budget needs to know of one fixed image."""
    grid = header.grid
    field = [n * mm for n, mm in zip(grid.shape, grid.spacing, strict=True)]
    channel: dict[str, Any] = {"field_mm": {"p100": field}, "spacing_mm": {"p0": grid.spacing}}
    return Evidence({"channels": {"fixed": channel}}, {}, {}, ("fixed", "fixed"), {}, {})
