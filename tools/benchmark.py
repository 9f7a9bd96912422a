"""Compare the zoo's solvers with their peers, side by side on one machine.

    python tools/benchmark.py --data FOLDER --sizes 128,160 --repeats 3 --out benchmark

Every run has a process of its own, all with the same number of threads; the methods take turns.
Results are appended to OUT/runs.jsonl as they come, and a second call goes on where the first one
stopped. OUT/table.md and OUT/table.png are made of what is there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from bench.figures import figures
from bench.methods import DEFAULT, METHODS
from bench.pairs import BenchPair, data_pairs, phantom_pairs
from bench.table import draw, markdown

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)


def run_once(method: str, pair: BenchPair, threads: int, timeout: float) -> dict[str, Any]:
    """Run a method on a pair in a process of its own and return what was measured."""
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads))
    tools = Path(__file__).resolve().parent
    environment["PYTHONPATH"] = os.pathsep.join([str(tools), str(tools.parent)])
    with tempfile.TemporaryDirectory() as folder:
        field, job = Path(folder) / "field.npy", Path(folder) / "job.json"
        files = {
            name: str(value.resolve()) if isinstance(value, Path) else value
            for name, value in asdict(pair).items()
        }
        what = {"method": method, "pair": files, "threads": threads, "field": str(field)}
        job.write_text(json.dumps(what))
        try:
            done = subprocess.run(
                [sys.executable, "-m", "bench.child", str(job)],
                env=environment,
                cwd=folder,  # some peers leave files where they run
                capture_output=True,
                text=True,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            return {"failed": f"took longer than {timeout:g} s"}
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            return {"failed": f"exit status {done.returncode}: {last}"}
        measured = json.loads(done.stdout.strip().splitlines()[-1])
        return measured | figures(pair, np.load(field))


def missing(
    runs: list[dict[str, Any]], methods: list[str], pairs: list[BenchPair], repeats: int
) -> Iterator[tuple[str, BenchPair, int]]:
    """Yield the runs that have not been made yet; the methods take turns."""
    made = {(run["method"], run["pair"], run["repeat"]) for run in runs}
    for repeat in range(repeats):
        for pair in pairs:
            for method in methods:
                if (method, pair.name, repeat) not in made:
                    yield method, pair, repeat


def read_runs(path: Path) -> list[dict[str, Any]]:
    """Return the runs in a JSON-lines file, none if it is not there."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with the real and synthetic pairs")
    parser.add_argument("--sizes", default="", help="phantoms to make: voxels an axis, with commas")
    parser.add_argument("--seed", type=int, default=0, help="of the phantoms")
    parser.add_argument("--methods", default=",".join(DEFAULT), help=f"of {', '.join(METHODS)}")
    parser.add_argument("--pairs", default="", help="names of pairs, with commas; default all")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=3600, help="seconds a run may take")
    parser.add_argument("--out", type=Path, default=Path("benchmark"))
    return parser.parse_args()


def main() -> None:
    args = arguments()
    methods = args.methods.split(",")
    if unknown := set(methods) - set(METHODS):
        sys.exit(f"unknown methods {', '.join(sorted(unknown))}; there are {', '.join(METHODS)}")
    sizes = [int(size) for size in args.sizes.split(",") if size]
    pairs = phantom_pairs(args.out / "phantoms", sizes, args.seed)
    pairs += data_pairs(args.data) if args.data else []
    if wanted := [name for name in args.pairs.split(",") if name]:
        pairs = [pair for pair in pairs if pair.name in wanted]
    if not pairs:
        sys.exit("no pair to register: give --data with a folder that holds them, or --sizes")

    args.out.mkdir(parents=True, exist_ok=True)
    log = args.out / "runs.jsonl"
    for method, pair, repeat in missing(read_runs(log), methods, pairs, args.repeats):
        run = {"method": method, "pair": pair.name, "repeat": repeat, "threads": args.threads}
        run |= run_once(method, pair, args.threads, args.timeout)
        with log.open("a") as file:
            file.write(json.dumps(run) + "\n")
        print(json.dumps(run), flush=True)
    runs = read_runs(log)
    (args.out / "table.md").write_text(markdown(runs, args.threads))
    draw(runs, args.out / "table.png")


if __name__ == "__main__":
    main()
