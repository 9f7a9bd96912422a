"""How do the models and solvers compare with other packages on the same machine?

    PYTHONPATH=tools python -m benchmarks.peers --data FOLDER --sizes 128,160 --repeats 3

The pairs are those of a data folder, heads rendered from its label maps, and phantoms; the smallest
come first. Each run has a process of its own with the same number of threads, and the methods take
turns. Runs are appended to OUT/runs.jsonl as they finish; run the same command again to resume.
OUT/table.md and OUT/table.png show all runs so far.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.accuracy import accuracy
from benchmarks.harness.comparison import draw, markdown
from benchmarks.harness.measurement import Timer, peak_mib
from benchmarks.harness.methods import DEFAULT, METHODS
from benchmarks.harness.pairs import (
    BenchPair,
    data_pairs,
    pair_document,
    pair_from_document,
    phantom_pairs,
)
from benchmarks.harness.processes import ChildError, call
from benchmarks.harness.rendered_pairs import rendered_pairs
from benchmarks.harness.runs import Run, append_run, missing_runs, read_runs
from benchmarks.harness.zoo_methods import Judged
from zoo.io.volume import read_header


def main() -> None:
    """Run what is missing, then write the table and the picture."""
    args = _arguments()
    methods = args.methods.split(",")
    if unknown := set(methods) - set(METHODS):
        sys.exit(
            f"unknown methods: {', '.join(sorted(unknown))}; available are {', '.join(METHODS)}"
        )
    pairs = _pairs(args)
    if not pairs:
        sys.exit("there is no pair to register: add --data FOLDER with image pairs, or --sizes")
    log = args.out / "runs.jsonl"
    for method, pair, repeat in missing_runs(read_runs(log), methods, pairs, args.repeats):
        run: Run = {
            "method": method,
            "pair": pair.name,
            "modality": "/".join(pair.modality),
            "repeat": repeat,
            "threads": args.threads,
        }
        append_run(log, run | measure(method, pair, args.threads, args.timeout))
    runs = read_runs(log)
    (args.out / "table.md").write_text(markdown(runs, args.threads))
    draw(runs, args.out / "table.png")


def measure(method: str, pair: BenchPair, threads: int, timeout: float) -> Run:
    """Run a method on a pair in a new process and return its figures, or why it "failed"."""
    with tempfile.TemporaryDirectory() as folder:
        field = Path(folder) / "field.npy"
        arguments = {
            "method": method,
            "pair": pair_document(pair),
            "threads": threads,
            "field": str(field),
        }
        try:
            cost = call("benchmarks.peers:register", arguments, threads=threads, timeout=timeout)
        except ChildError as error:
            return {"failed": str(error)}
        return cost | accuracy(pair, np.load(field))


def register(method: str, pair: dict[str, Any], threads: int, field: str) -> dict[str, Any]:
    """Register a pair in this process, save the displacement and return time and memory.

    The models of this zoo also return their verdict and their name. The clock runs from opening the
    images to having the displacement in memory.
    """
    import torch

    torch.set_num_threads(threads)
    chosen = METHODS[method]
    for module in chosen.modules:
        importlib.import_module(module)
    idle = peak_mib()
    with Timer() as timer:
        found = chosen.run(pair_from_document(pair))
    figures: dict[str, Any] = {
        "seconds": timer.seconds,
        "cpu_seconds": timer.cpu_seconds,
        "peak_mib": peak_mib(),
        "idle_mib": idle,
    }
    if isinstance(found, Judged):
        figures |= {"verdict": found.verdict, "model": found.model}
        found = found.field
    np.save(field, np.asarray(found, dtype=np.float32))
    return figures


def _pairs(args: argparse.Namespace) -> list[BenchPair]:
    sizes = [int(size) for size in args.sizes.split(",") if size]
    pairs = phantom_pairs(args.out / "phantoms", sizes, args.seed)
    if args.data:
        pairs += data_pairs(args.data, args.necks)
        pairs += rendered_pairs(args.data / "anatomy_synthseg", args.out / "rendered")
    pairs.sort(key=lambda pair: read_header(pair.fixed).grid.voxels)
    names = [name for name in args.pairs.split(",") if name]
    return [pair for pair in pairs if not names or pair.name in names]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with the image pairs")
    parser.add_argument(
        "--sizes", default="", help="phantoms to make: voxels along each axis, comma-separated"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the phantoms")
    parser.add_argument(
        "--methods", default=",".join(DEFAULT), help=f"comma-separated, of {', '.join(METHODS)}"
    )
    parser.add_argument("--pairs", default="", help="names of pairs, comma-separated; default: all")
    parser.add_argument("--necks", type=int, default=4, help="pairs of necks, at most 8")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each method on each pair")
    parser.add_argument("--threads", type=int, default=2, help="threads per run")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds allowed per run")
    parser.add_argument("--out", type=Path, default=Path("bench/peers"), help="output folder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
