"""Measures `regzoo run`: pairs a minute, memory over the run, and what kills at random leave.

    python tools/benchmark_cohort.py speed --pairs 40 --size 48 --workers 1
    python tools/benchmark_cohort.py speed --pairs 12 --size 48 --workers 1 --in-turn
    python tools/benchmark_cohort.py kills --pairs 40 --size 48 --set affine=none --set report=false

The phantoms and runs go to a temporary folder and are removed again, or to --folder and stay.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import torch

from zoo.datasets.reading import read_dataset
from zoo.hub.bundles import bundle_folder, config_keys
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
from zoo.cohorts import overlap


class InTurn(nullcontext):
    def __enter__(self):
        return self

    def submit(self, call, *arguments):
        future = Future()
        future.set_result(call(*arguments))
        return future


overlap.ThreadPoolExecutor = lambda *_: InTurn()
zoo.cli.main(sys.argv[1:])
"""
"""`regzoo` without threads for reading and saving: one thing after the other."""

KINDS = ("images", "labels", "keypoints")


def write_dataset(root: Path, count: int, size: int) -> None:
    """Write phantom pairs T1 to T2 as a Learn2Reg dataset, with labels and key points."""
    for kind in KINDS:
        (root / f"{kind}Tr").mkdir(parents=True, exist_ok=True)
    pairs = []
    for case in range(1, count + 1):
        made = make_pair(case, shape=(size, size, size), contrasts=("t1", "t2"))
        names = [f"Phantom_{case:04d}_{slot:04d}" for slot in (0, 1)]
        for name, side in zip(names, ("fixed", "moving"), strict=True):
            grid = getattr(made, f"{side}_grid")
            image, labels = getattr(made, side), getattr(made, f"{side}_labels")
            write_volume(root / "imagesTr" / f"{name}.nii.gz", image, grid, torch.int16)
            write_volume(root / "labelsTr" / f"{name}.nii.gz", labels, grid)
            table = root / "keypointsTr" / f"{name}.csv"
            write_points(table, getattr(made, f"{side}_points"), "voxel", grid, header=False)
        fixed, moving = (f"./imagesTr/{name}.nii.gz" for name in names)
        pairs.append({"fixed": fixed, "moving": moving})
    document = {"name": "Phantoms", "modality": {"0": "MR", "1": "MR"}, "registration_val": pairs}
    write_json(root / "dataset.json", document)


def write_plan(path: Path, dataset: Path, **changes: object) -> None:
    """Plan a dataset for MCBO, with some settings of one's own."""
    wishes = UserOptions(model="mcbo", anatomy="abdomen", accept_guess=True)
    plan = make_plan(take_fingerprint(read_dataset(dataset)).document, wishes)
    if changes:
        plan = override(plan, "benchmark", changes, config_keys(bundle_folder("mcbo")))
    write_json(path, plan)


def outputs(run: Path) -> dict[str, str | bytes]:
    """Return what a run's files hold, by name; times and memory aside."""
    found: dict[str, str | bytes] = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if not path.is_file() or name.startswith(".cohort"):
            continue
        content: str | bytes = path.read_bytes()
        if path.name in ("result.json", "summary.json"):
            content = json.dumps(_timeless(json.loads(content)))
        elif path.name == "summary.csv":
            content = re.sub(r"(?m)^(\w+,finished,[^,]*,)[^,]*", r"\1", path.read_text())
        elif path.name == "report.html" and path.parent != run:
            content = re.sub(
                r"<h2>(Time, s|Memory)</h2>.*?</section>", "", path.read_text(), flags=re.DOTALL
            )
        found[name] = content
    return found


def _timeless(value: object) -> object:
    if isinstance(value, dict):
        times = ("seconds", "peak_memory_mib")
        return {k: _timeless(v) for k, v in value.items() if k not in times}
    return [_timeless(v) for v in value] if isinstance(value, list) else value


def finished(run: Path) -> dict[str, int]:
    """Return the finished pairs with the time at which each was written, ns."""
    return {p.parent.name: p.stat().st_mtime_ns for p in run.glob("*/result.json")}


def start(plan: Path, run: Path, *words: str, in_turn: bool = False) -> subprocess.Popen[bytes]:
    """Start `regzoo run`."""
    program = ["-c", IN_TURN] if in_turn else ["-m", "zoo"]
    command = [sys.executable, *program, "run", str(plan), "--out", str(run), *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return a process and those it started."""
    try:
        parent = psutil.Process(process.pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def memory(processes: Sequence[psutil.Process]) -> float:
    """Return the resident memory of processes, MiB."""
    total = 0
    for process in processes:
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue
    return total / (1 << 20)


def speed(folder: Path, plan: Path, workers: int, in_turn: bool) -> None:
    """Run the cohort once; print pairs a minute and the largest memory in each quarter of it."""
    run = folder / f"run-{workers}{'-in-turn' if in_turn else ''}"
    began = time.perf_counter()
    process = start(plan, run, "--workers", str(workers), in_turn=in_turn)
    samples: list[tuple[int, float]] = []
    first = 0.0
    while process.poll() is None:
        done = len(finished(run))
        if done and not first:
            first = time.perf_counter() - began
        samples.append((done, memory(family(process))))
        time.sleep(0.2)
    seconds = time.perf_counter() - began
    assert process.returncode == 0, process.stderr and process.stderr.read().decode()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    pairs = len(finished(run))
    quarters = [
        max((m for done, m in samples if k <= 4 * done / pairs < k + 1), default=0.0)
        for k in range(4)
    ]
    print(f"workers {workers}: {pairs} pairs in {seconds:.1f} s, the first after {first:.1f} s")
    print(f"pairs a minute after the first: {60 * (pairs - 1) / (seconds - first):.1f}")
    print(f"time of processors: {used.ru_utime + used.ru_stime:.1f} s")
    print("largest memory by quarter, MiB: " + ", ".join(f"{m:.0f}" for m in quarters))


def kills(
    folder: Path, plan: Path, count: int, workers: int, seed: int, latest: float | None
) -> None:
    """Kill runs at random moments and go on; compare all outputs with those of one process."""
    whole, run = folder / "whole", folder / "killed"
    began = time.monotonic()
    _wait(start(plan, whole))
    latest = latest or 2 * (time.monotonic() - began) / count
    before: dict[str, int] = {}
    for k, (delay, all_of_them) in enumerate(_moments(random.Random(seed), count, latest)):
        process = start(plan, run, "--workers", str(workers))
        _until_working(run, process, len(before))
        time.sleep(delay)
        victims = family(process)
        struck = victims if all_of_them else victims[-1:]
        for victim in struck:
            victim.send_signal(signal.SIGKILL)
        if not all_of_them:
            time.sleep(1)
            for victim in family(process):
                victim.send_signal(signal.SIGKILL)
        process.wait()
        after = finished(run)
        assert all(after.get(name) == at for name, at in before.items()), "done twice"
        what = "everything" if all_of_them else "one process, later everything"
        print(f"kill {k + 1}: {what}, {delay:.1f} s, {len(after)} pairs finished", flush=True)
        before = after
    _wait(start(plan, run, "--workers", str(workers)))
    after = finished(run)
    assert all(after.get(name) == at for name, at in before.items()), "done twice"
    one, other = outputs(whole), outputs(run)
    differing = [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]
    print(f"{len(one)} files, {len(differing)} differ {sorted(differing)[:5] or ''}")


def _moments(chance: random.Random, count: int, latest: float) -> Iterator[tuple[float, bool]]:
    """Yield when to kill, seconds after work began, and whether everything or one process."""
    for _ in range(count):
        yield chance.uniform(0, latest), chance.random() < 0.5


def _until_working(run: Path, process: subprocess.Popen[bytes], before: int) -> None:
    """Wait until a process saves its first pair: imports are not what is tested."""
    began = time.time()
    parts = run / ".cohort" / "parts"
    while process.poll() is None and len(finished(run)) <= before:
        if parts.is_dir() and parts.stat().st_mtime > began:
            return
        time.sleep(0.05)


def _wait(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()


def main() -> None:
    """Read the command line and run one part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("speed", "kills"))
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--size", type=int, default=48)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--in-turn", action="store_true", help="no threads beside registering")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--latest", type=float, help="seconds of work before a kill, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], help="a setting of the plan")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        plan = folder / "plan.json"
        if not plan.is_file():
            write_dataset(folder / "data", given.pairs, given.size)
            write_plan(plan, folder / "data", **parse_settings(given.set, ["affine"]))
        if given.part == "speed":
            speed(folder, plan, given.workers, given.in_turn)
        else:
            kills(folder, plan, given.kills, given.workers, given.seed, given.latest)


if __name__ == "__main__":
    main()
