"""How fast is `regzoo run`, how much memory does it use, and does it survive being killed?

    PYTHONPATH=tools python -m benchmarks.cohorts speed --pairs 40 --size 48 --workers 1
    PYTHONPATH=tools python -m benchmarks.cohorts speed --pairs 12 --size 48 --workers 1 --in-turn
    PYTHONPATH=tools python -m benchmarks.cohorts speed --pairs 12 --size 24 --other OTHER_CHECKOUT
    PYTHONPATH=tools python -m benchmarks.cohorts kills --pairs 40 --size 48 --set affine=none \\
        --set report=false

`speed` prints pairs per minute and the memory over the run; with --other, each run is followed by
one of another checkout of regzoo. `kills` kills a worker or the whole run at random moments,
resumes it, and compares all outputs with those of an undisturbed run in one process. Phantoms and
runs are written to a temporary folder and removed, or to --folder and kept.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path

import psutil
import torch

from benchmarks.harness.processes import ROOT, environment
from zoo.datasets.reading import read_dataset
from zoo.io.atomic import write_json
from zoo.io.points import write_points
from zoo.io.volume import write_volume
from zoo.planning.evidence import UserOptions
from zoo.planning.fingerprint import take_fingerprint
from zoo.planning.plan import make_plan, override
from zoo.runtime.settings import parse_settings
from zoo.synthesis.phantom import make_pair

IN_TURN = """
import sys
from concurrent.futures import Future
from contextlib import nullcontext

import zoo.cli
from zoo.cohorts import in_process


class InTurn(nullcontext):
    def __enter__(self):
        return self

    def submit(self, call, *arguments):
        future = Future()
        future.set_result(call(*arguments))
        return future


in_process.ThreadPoolExecutor = lambda *_: InTurn()
zoo.cli.main(sys.argv[1:])
"""
"""`regzoo` without the threads that read and save while the next pair is registered."""

KINDS = ("images", "labels", "keypoints")


def main() -> None:
    """Write the dataset and its plan, then measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("speed", "kills"))
    parser.add_argument("--pairs", type=int, default=40, help="number of pairs")
    parser.add_argument("--size", type=int, default=48, help="voxels along each axis")
    parser.add_argument("--workers", type=int, nargs="+", default=[2], help="worker processes")
    parser.add_argument("--other", type=Path, help="another checkout to measure beside this one")
    parser.add_argument("--repeat", type=int, default=1, help="number of runs of each kind")
    parser.add_argument("--in-turn", action="store_true", help="no threads beside the registration")
    parser.add_argument("--kills", type=int, default=10, help="number of kills")
    parser.add_argument(
        "--latest", type=float, help="largest number of seconds of work before a kill"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the kills")
    parser.add_argument(
        "--set", action="append", default=[], help="NAME=VALUE, a setting of the plan"
    )
    parser.add_argument("--folder", type=Path, help="keep phantoms and runs in this folder")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or Path(scratch)
        plan = folder / "plan.json"
        if not plan.is_file():
            write_dataset(folder / "data", args.pairs, args.size)
            write_plan(plan, folder / "data", **parse_settings(args.set, ["affine"]))
        if args.what == "kills":
            measure_recovery(folder, plan, args.kills, args.workers[0], args.seed, args.latest)
            return
        checkouts = [ROOT] if args.other is None else [ROOT, args.other.absolute()]
        for k, workers, root in product(range(args.repeat), args.workers, checkouts):
            run = folder / f"run-{k}-{workers}-{checkouts.index(root)}"
            print(f"{root.name}: ", end="")
            measure_speed(run, plan, workers, args.in_turn, root)


def write_dataset(root: Path, count: int, size: int) -> None:
    """Write T1/T2 phantom pairs as a Learn2Reg dataset, with labels and key points."""
    for kind in KINDS:
        (root / f"{kind}Tr").mkdir(parents=True, exist_ok=True)
    pairs = []
    for case in range(1, count + 1):
        pair = make_pair(case, shape=(size, size, size), contrasts=("t1", "t2"))
        names = [f"Phantom_{case:04d}_{slot:04d}" for slot in (0, 1)]
        for name, side in zip(names, ("fixed", "moving"), strict=True):
            grid = getattr(pair, f"{side}_grid")
            image, labels = getattr(pair, side), getattr(pair, f"{side}_labels")
            write_volume(root / "imagesTr" / f"{name}.nii.gz", image, grid, torch.int16)
            write_volume(root / "labelsTr" / f"{name}.nii.gz", labels, grid)
            table = root / "keypointsTr" / f"{name}.csv"
            write_points(table, getattr(pair, f"{side}_points"), "voxel", grid, header=False)
        fixed, moving = (f"./imagesTr/{name}.nii.gz" for name in names)
        pairs.append({"fixed": fixed, "moving": moving})
    document = {"name": "Phantoms", "modality": {"0": "MR", "1": "MR"}, "registration_val": pairs}
    write_json(root / "dataset.json", document)


def write_plan(path: Path, dataset: Path, **changes: object) -> None:
    """Plan a dataset for MCBO, with some settings changed."""
    options = UserOptions(model="mcbo", anatomy="abdomen", accept_guess=True)
    plan = make_plan(take_fingerprint(read_dataset(dataset)).document, options)
    if changes:
        plan = override(plan, "benchmark", changes)
    write_json(path, plan)


def outputs(run: Path) -> dict[str, str | bytes]:
    """Return the contents of the files of a run by name, without times and memory."""
    contents: dict[str, str | bytes] = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if not path.is_file() or name.startswith(".cohort"):
            continue
        content: str | bytes = path.read_bytes()
        if path.name in ("result.json", "summary.json"):
            content = json.dumps(_without_times(json.loads(content)))
        elif path.name == "summary.csv":
            rows = csv.DictReader(path.read_text().splitlines())
            content = json.dumps([row | {"seconds": ""} for row in rows])
        elif path.name == "report.html" and path.parent != run:
            content = re.sub(
                r"<h2>(Time, s|Memory)</h2>.*?</section>", "", path.read_text(), flags=re.DOTALL
            )
        contents[name] = content
    return contents


def _without_times(value: object) -> object:
    if isinstance(value, dict):
        times = ("seconds", "peak_memory_mib")
        return {k: _without_times(v) for k, v in value.items() if k not in times}
    return [_without_times(v) for v in value] if isinstance(value, list) else value


def finished(run: Path) -> dict[str, int]:
    """Return the time at which each finished pair was written, in ns."""
    return {p.parent.name: p.stat().st_mtime_ns for p in run.glob("*/result.json")}


def start(
    plan: Path, run: Path, *words: str, in_turn: bool = False, root: Path = ROOT
) -> subprocess.Popen[bytes]:
    """Start `regzoo run` of the checkout `root` in a new process."""
    program = ["-c", IN_TURN] if in_turn else ["-m", "zoo"]
    command = [sys.executable, *program, "run", str(plan), "--out", str(run), *words]
    return subprocess.Popen(
        command,
        env=environment(PYTHONPATH=f"{root / 'tools'}{os.pathsep}{root}"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def process_tree(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return a process and its descendants."""
    try:
        parent = psutil.Process(process.pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def worker_processes(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return the worker processes that a run has started."""
    workers = []
    for child in process_tree(process):
        with suppress(psutil.Error):  # it has ended
            if "spawn_main" in " ".join(child.cmdline()):
                workers.append(child)
    return workers


def resident_mib(processes: Sequence[psutil.Process]) -> float:
    """Return the resident memory of all processes together, in MiB."""
    total = 0
    for process in processes:
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue
    return total / (1 << 20)


def measure_speed(run: Path, plan: Path, workers: int, in_turn: bool, root: Path) -> None:
    """Run the cohort once; print pairs per minute and the largest memory in each quarter of it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    process = start(plan, run, "--workers", str(workers), in_turn=in_turn, root=root)
    samples: list[tuple[int, float]] = []
    first = 0.0
    while process.poll() is None:
        done = len(finished(run))
        if done and not first:
            first = time.perf_counter() - began
        samples.append((done, resident_mib(process_tree(process))))
        time.sleep(0.2)
    seconds = time.perf_counter() - began
    _wait(process)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    pairs = len(finished(run))
    quarters = [
        max((m for done, m in samples if k <= 4 * done / pairs < k + 1), default=0.0)
        for k in range(4)
    ]
    print(f"{workers} workers: {pairs} pairs in {seconds:.1f} s, the first after {first:.1f} s")
    print(f"pairs per minute after the first: {60 * (pairs - 1) / (seconds - first):.1f}")
    seconds = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    print(f"CPU time: {seconds:.1f} s")
    print("largest memory in each quarter, MiB: " + ", ".join(f"{m:.0f}" for m in quarters))


def measure_recovery(
    folder: Path, plan: Path, count: int, workers: int, seed: int, latest: float | None
) -> None:
    """Kill a run at random moments and resume it; compare its outputs with an undisturbed run."""
    undisturbed, run = folder / "whole", folder / "killed"
    began = time.monotonic()
    _wait(start(plan, undisturbed))
    latest = latest or 2 * (time.monotonic() - began) / count
    before: dict[str, int] = {}
    for k, (delay, whole_tree) in enumerate(_moments(random.Random(seed), count, latest)):
        process = start(plan, run, "--workers", str(workers))
        _wait_for_work(run, process, len(before))
        time.sleep(delay)
        _kill(process, whole_tree)
        before = _finished_once(run, before)
        victims = "all processes" if whole_tree else "one worker, then the client"
        print(f"kill {k + 1}: {victims}, {delay:.1f} s, {len(before)} pairs finished", flush=True)
    _wait(start(plan, run, "--workers", str(workers)))
    _finished_once(run, before)
    expected, resumed = outputs(undisturbed), outputs(run)
    names = expected.keys() | resumed.keys()
    differing = sorted(name for name in names if expected.get(name) != resumed.get(name))
    print(f"{len(expected)} files, {len(differing)} differ {differing[:5] or ''}")


def _kill(process: subprocess.Popen[bytes], whole_tree: bool) -> None:
    """Kill a process tree at once, or a worker and after two seconds the client alone.

    The workers of a client that is killed end by themselves.
    """
    tree = process_tree(process)
    if not whole_tree:
        for victim in worker_processes(process)[-1:]:
            victim.send_signal(signal.SIGKILL)
        time.sleep(2)
        tree = process_tree(process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        psutil.wait_procs(tree, timeout=30)
        return
    for victim in tree:
        victim.send_signal(signal.SIGKILL)
    process.wait()


def _finished_once(run: Path, before: dict[str, int]) -> dict[str, int]:
    """Return the finished pairs; those that were finished before must not be written again."""
    after = finished(run)
    assert all(after.get(name) == at for name, at in before.items()), "a pair was registered twice"
    return after


def _moments(generator: random.Random, count: int, latest: float) -> Iterator[tuple[float, bool]]:
    """Yield seconds from the start of work to a kill, and whether it hits all processes."""
    for _ in range(count):
        yield generator.uniform(0, latest), generator.random() < 0.5


def _wait_for_work(run: Path, process: subprocess.Popen[bytes], before: int) -> None:
    """Wait until a run saves its first pair, so that a kill does not hit the imports."""
    began = time.time()
    parts = run / ".cohort" / "parts"
    while process.poll() is None and len(finished(run)) <= before:
        if parts.is_dir() and parts.stat().st_mtime > began:
            return
        time.sleep(0.05)


def _wait(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()


if __name__ == "__main__":
    main()
