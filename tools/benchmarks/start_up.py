"""How long does `regzoo register` take on a user's clock, and how much of it is not registration?

    PYTHONPATH=tools python -m benchmarks.start_up [--sizes 48,160] [--threads 1] [-- --model mcbo]

Phantom pairs are registered by processes of their own. CPU seconds are those of the whole process;
unlike the wall time they hardly depend on what else runs on the machine. The registration is the
sum of the stages in result.json except the saving. Each figure is the median of the repeats.
`--checkout` measures another checkout. What follows `--` is passed to `regzoo register`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median

import torch

from benchmarks.harness.processes import ROOT, call, environment
from benchmarks.harness.tables import heading, row
from zoo.io.volume import write_volume
from zoo.synthesis.phantom import make_pair

WIDTH_MM = 192  # of the images of any size
KIBIBYTES_PER_MEBIBYTE = 1024


@dataclass(frozen=True)
class Measurement:
    """One run of the command: seconds of wall time, CPU and registration, and peak MiB."""

    wall: float
    cpu: float
    registration: float
    peak: float


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="48,160", help="voxels along each axis, with commas")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; 0: as for a user")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each size")
    parser.add_argument("--checkout", type=Path, default=ROOT, help="the checkout to measure")
    parser.add_argument("more", nargs="*", help="further arguments of regzoo register, after --")
    args = parser.parse_args()
    print(heading(["voxels"], ["wall s", "CPU s", "registration s", "peak MiB"]), flush=True)
    for size in map(int, args.sizes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            call("benchmarks.start_up:write_pair", {"folder": folder, "size": size}, threads=1)
            runs = [
                measure(Path(folder), args.checkout, args.threads, args.more)
                for _ in range(args.repeats)
            ]
        wall, cpu, registration, peak = map(median, zip(*map(astuple, runs), strict=True))
        cells = [f"{wall:.1f}", f"{cpu:.1f}", f"{registration:.1f}", f"{peak:.0f}"]
        print(row([f"{size}^3", *cells]), flush=True)


def write_pair(folder: str, size: int) -> None:
    """Write the images of a phantom as fixed.nii.gz and moving.nii.gz.

    This runs in a process of its own, because a child's peak memory is at least its parent's.
    """
    pair = make_pair(7, shape=(size,) * 3, spacing=(WIDTH_MM / size,) * 3)
    write_volume(Path(folder) / "fixed.nii.gz", pair.fixed, pair.fixed_grid, torch.int16)
    write_volume(Path(folder) / "moving.nii.gz", pair.moving, pair.moving_grid, torch.int16)


def measure(folder: Path, checkout: Path, threads: int, more: Sequence[str]) -> Measurement:
    """Register the pair in `folder` by a process that imports `checkout`."""
    words = ["register", "fixed.nii.gz", "moving.nii.gz", "--out", "out", "--device", "cpu", *more]
    variables = environment(threads) if threads else dict(os.environ)
    variables["PYTHONPATH"] = str(checkout.absolute())
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo", *words],
        cwd=folder,
        env=variables,
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"regzoo register failed with exit status {process.returncode}")
    seconds = json.loads((folder / "out" / "result.json").read_text())["seconds"]
    return Measurement(
        wall,
        usage.ru_utime + usage.ru_stime,
        sum(value for stage, value in seconds.items() if stage != "saving"),
        usage.ru_maxrss / KIBIBYTES_PER_MEBIBYTE,
    )


if __name__ == "__main__":
    main()
