"""What do Dask, the digests and the records of `regzoo run` cost per pair, for many pairs?

    PYTHONPATH=tools python -m benchmarks.cohorts_scale --pairs 2000
    PYTHONPATH=tools python -m benchmarks.cohorts_scale --pairs 100000 --workers 2
    PYTHONPATH=tools python -m benchmarks.cohorts_scale --pairs 100000 --records

A stub takes the place of reading, registering and drawing a pair. The dataset, the digests of the
files, the tasks, the records of the results and the summary are real. The scheduler and the workers
are processes of their own. The program prints the time of each step, the memory of each process,
and the size of the records. With --records nothing is submitted: the records of all pairs are
written in this process, and reading them and writing the summary are measured.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from math import ceil, sqrt
from pathlib import Path
from typing import Any, TypeVar

import psutil
import torch

from benchmarks.harness.dask_processes import DaskProcesses
from zoo.cohorts import dask_run
from zoo.cohorts.clusters import quiet_dask
from zoo.cohorts.dask_worker import CohortPlugin
from zoo.cohorts.jobs import Cohort, Job, create_run_folder, plan_cohort, plan_of_run
from zoo.cohorts.record import RESULT, Failure, is_finished, pending_jobs, replaced_results
from zoo.cohorts.summary import write_summary
from zoo.datasets.reading import read_dataset
from zoo.geometry import Grid
from zoo.io.atomic import write_json
from zoo.io.volume import write_volume
from zoo.planning.evidence import UserOptions
from zoo.planning.fingerprint import take_fingerprint
from zoo.planning.plan import make_plan
from zoo.runtime.signals import StopSignal

T = TypeVar("T")
SIZE = 8  # voxels along each axis of an image
PLANNED_PAIRS = 100  # the plan is made for so many pairs of the same kind
LOOKS = 20  # of the memory during a run
FIGURES = {"dice_before": 0.5, "dice_after": 0.75, "tre_mm_before": 6.0, "tre_mm_after": 1.5}


def record(cohort: Cohort, job: Job) -> dict[str, Any]:
    """Return a result with the digests of a pair's files and a few figures."""
    return {
        "content": cohort.digest(job),
        "figures": FIGURES,
        "seconds": {"registration": 1.0},
        "quality": "ok",
        "warnings": [],
    }


def write_records(cohort: Cohort) -> None:
    """Write the records of all pairs without flushing each one to the disk."""
    for job in cohort.jobs:
        job.folder.mkdir()
        (job.folder / RESULT).write_text(json.dumps(record(cohort, job), indent=2))


class StubWorker:
    """Writes a record with the digests of a pair's files, without registering the pair."""

    def __init__(self, cohort: Cohort) -> None:
        self.cohort = cohort

    def run(self, job: Job) -> Failure | None:
        """Record the pair as finished."""
        if is_finished(job, self.cohort):
            return None
        with replaced_results(self.cohort, job) as folder:
            write_json(folder / RESULT, record(self.cohort, job))
        return None


class StubPlugin(CohortPlugin):
    """Holds a stub instead of a model."""

    def _open(self) -> StubWorker:  # type: ignore[override]
        return StubWorker(self.cohort)


def main() -> None:
    """Write the dataset, run the cohort, and print the measurements."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=2000, help="number of pairs")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")
    parser.add_argument("--records", action="store_true", help="measure the records only")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        measure(Path(scratch), args.pairs, args.workers, args.records)


def measure(folder: Path, pairs: int, workers: int, records_only: bool) -> None:
    """Run a cohort with stubs and print what each step takes."""
    write_dataset(folder / "sample", min(pairs, PLANNED_PAIRS))
    write_plan(folder / "plan.json", folder / "sample")
    _step("write the dataset", lambda: write_dataset(folder / "data", pairs))
    plan, run = plan_of_run(folder / "plan.json", None, folder / "run")
    plan |= {"dataset_dir": str(folder / "data"), "plan": plan["plan"] | {"content": None}}
    cohort = _step("read the dataset and list the pairs", lambda: plan_cohort(plan, run))
    create_run_folder(cohort)
    jobs = _step("find the pending pairs, none finished", lambda: pending_jobs(cohort))
    if records_only:
        _step("write the records", lambda: write_records(cohort))
    else:
        with DaskProcesses(folder) as processes, quiet_dask():
            for _ in range(workers):
                processes.add_worker()
            _register(processes, cohort, jobs)
    left = _step("find the pending pairs, all finished", lambda: pending_jobs(cohort))
    assert not left
    overview = _step("write the summary", lambda: write_summary(cohort))
    assert overview.document["finished"] == pairs
    sizes = {
        name: (cohort.folder / name).stat().st_size for name in ("summary.json", "report.html")
    }
    records = sum(path.stat().st_size for path in cohort.folder.glob(f"*/{RESULT}"))
    print(f"records: {records / pairs:.0f} bytes per pair")
    print(", ".join(f"{name}: {size / pairs:.0f} bytes per pair" for name, size in sizes.items()))


def _register(processes: DaskProcesses, cohort: Cohort, jobs: list[Job]) -> None:
    """Register all jobs; print the time per pair and the memory and CPU time of each process."""
    watched = {"client": psutil.Process(), "scheduler": psutil.Process(processes.scheduler.pid)}
    watched |= {f"worker {k}": psutil.Process(p.pid) for k, p in enumerate(processes.workers)}
    largest, before = dict.fromkeys(watched, 0.0), dict.fromkeys(watched, 0.0)
    cpu = dict.fromkeys(watched, 0.0)
    count, began = 0, 0.0

    def look() -> None:
        for name, process in watched.items():
            largest[name] = max(largest[name], process.memory_info().rss / 2**20)
            used = process.cpu_times()
            cpu[name] = used.user + used.system

    def settled(job: Job, failure: Failure | None) -> None:
        nonlocal count, began
        assert failure is None, failure
        if count == 0:
            look()
            before.update(largest)
            before_cpu.update(cpu)
            began = time.perf_counter()
        count += 1
        if count % max(1, len(jobs) // LOOKS) == 0 or count == len(jobs):
            look()
            seconds = time.perf_counter() - began
            memory = ", ".join(f"{name} {mib:.0f}" for name, mib in largest.items())
            print(f"{count} pairs after {seconds:.0f} s; MiB: {memory}", flush=True)

    before_cpu: dict[str, float] = {}
    setattr(dask_run, "CohortPlugin", StubPlugin)  # noqa: B010
    run = dask_run.DaskRun(processes.address, cohort, "cpu", 1, lambda _: None)
    run.register(jobs, StopSignal(), settled)
    seconds = time.perf_counter() - began
    print(f"register {count} pairs: {seconds:.1f} s, {1000 * seconds / count:.2f} ms per pair")
    for name in watched:
        used = cpu[name] - before_cpu[name]
        print(
            f"{name}: {before[name]:.0f} MiB at the first pair, at most {largest[name]:.0f} MiB, "
            f"CPU time {1000 * used / count:.2f} ms per pair"
        )


def write_dataset(root: Path, count: int) -> None:
    """Write tiny images and a list of `count` pairs of two different ones."""
    images = ceil((1 + sqrt(1 + 4 * count)) / 2)
    (root / "imagesTr").mkdir(parents=True)
    grid, generator = Grid((SIZE, SIZE, SIZE), torch.eye(4)), torch.Generator().manual_seed(0)
    names = [f"./imagesTr/Case_{k:05d}_0000.nii.gz" for k in range(images)]
    for name in names:
        write_volume(root / name, torch.randn(grid.shape, generator=generator), grid)
    pairs = [{"fixed": one, "moving": other} for one in names for other in names if one != other]
    document = {"name": "Stubs", "modality": {"0": "MR"}, "registration_val": pairs[:count]}
    write_json(root / "dataset.json", document)


def write_plan(path: Path, dataset: Path) -> None:
    """Plan the dataset for MCBO."""
    options = UserOptions(model="mcbo", anatomy="brain", pairing="inter", accept_guess=True)
    write_json(path, make_plan(take_fingerprint(read_dataset(dataset)).document, options))


def _step(title: str, action: Callable[[], T]) -> T:
    """Run an action and print its time and the largest memory of this process so far."""
    began, cpu = time.perf_counter(), time.process_time()
    result = action()
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{title}: {seconds:.1f} s, CPU time {used:.1f} s, peak {peak:.0f} MiB", flush=True)
    return result


if __name__ == "__main__":
    main()
