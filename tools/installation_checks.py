"""Check that an installation registers a phantom under difficult conditions.

    python tools/installation_checks.py

Each row of the table is one `regzoo register` in a process of its own, started outside the
checkout: without network, from a read-only checkout, with spaces and non-ASCII letters in a path,
without HOME, on one core, with 4 GiB of address space. Linux only: the conditions are set with
util-linux, and two of them require root. A condition that cannot be set up is reported as such.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from zoo.io.volume import write_volume
from zoo.synthesis.phantom import make_pair

ROOT = Path(__file__).resolve().parents[1]
READ_ONLY = f'mount --bind "{ROOT}" "{ROOT}" && mount -o remount,ro,bind "{ROOT}" && exec "$@"'
GIB = 2**30


@dataclass(frozen=True)
class Check:
    """A condition, and the phantom that is registered under it.

    `prefix` is a command that sets the condition for the command behind it; `without` names
    environment variables to remove; `options` are flags of `regzoo register`; `size` is in voxels
    along each axis and `moving` the contrast of the moving image.
    """

    name: str
    prefix: tuple[str, ...] = ()
    folder: str = "plain"
    size: int = 64
    without: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    moving: str = "t2"


CHECKS = (
    Check("no condition"),
    Check("no network", ("unshare", "--net")),
    Check("read-only checkout", ("unshare", "--mount", "sh", "-c", READ_ONLY, "sh")),
    Check("path with spaces and non-ASCII letters", folder="Größe 3 mm, überlagert/Ausgabe 東京"),
    Check("HOME unset", without=("HOME",)),
    Check("one core", ("taskset", "--cpu-list", "0")),
    Check("160^3, all memory of the machine", size=160),
    Check("160^3, 4 GiB of address space", ("prlimit", f"--as={4 * GIB}"), size=160),
    Check("160^3, --memory 2GB", size=160, options=("--memory", "2GB")),
    Check(
        "compact weights, no network",
        ("unshare", "--net"),
        options=("--model", "unigradicon"),
        moving="t1",
    ),
)


def main() -> int:
    """Print the table and return the exit code: 1 if a registration failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    print("| condition | outcome | Dice before, after | s | peak MiB |\n|---|---|---|---|---|")
    passed = True
    with tempfile.TemporaryDirectory() as scratch:
        for check in CHECKS:
            folder = Path(scratch) / check.folder
            files = write_pair(folder / f"{check.size}{check.moving}", check)
            row = run(check, files, folder / "result")
            passed &= row[0] in ("registered", "could not be set up")
            print(f"| {check.name} | {' | '.join(row)} |", flush=True)
    return 0 if passed else 1


def write_pair(folder: Path, check: Check) -> dict[str, Path]:
    """Write the phantom of a check with its labels; the two grids are tilted and differ in axes."""
    files = {name: folder / f"{name}.nii.gz" for name in ("fixed", "moving")}
    files |= {f"{name}_labels": folder / f"{name}_labels.nii.gz" for name in ("fixed", "moving")}
    if folder.exists():
        return files
    folder.mkdir(parents=True)
    pair = make_pair(
        7,
        shape=(check.size,) * 3,
        spacing=(160 / check.size,) * 3,
        axes="LPS",
        moving_axes="RAS",
        tilt_degrees=8,
        contrasts=("t1", check.moving),
    )
    for side in ("fixed", "moving"):
        grid = getattr(pair, f"{side}_grid")
        write_volume(files[side], getattr(pair, side), grid, torch.int16)
        write_volume(files[f"{side}_labels"], getattr(pair, f"{side}_labels"), grid)
    return files


def run(check: Check, files: dict[str, Path], out: Path) -> tuple[str, str, str, str]:
    """Register a pair under a condition; return outcome, Dice, seconds and peak memory in MiB."""
    if check.prefix and subprocess.run([*check.prefix, "true"], capture_output=True).returncode:
        return "could not be set up", "", "", ""
    shutil.rmtree(out, ignore_errors=True)
    words = [*check.prefix, sys.executable, "-m", "zoo", "register", "--out", str(out)]
    words += [str(files["fixed"]), str(files["moving"]), *check.options]
    for key in ("fixed_labels", "moving_labels"):
        words += ["--" + key.replace("_", "-"), str(files[key])]
    environment = {k: v for k, v in os.environ.items() if k not in check.without}
    started = time.monotonic()
    process = subprocess.run(
        words, cwd=files["fixed"].parent, env=environment, capture_output=True, text=True
    )
    seconds = f"{time.monotonic() - started:.0f}"
    if process.returncode:
        return (process.stderr.strip() or "failed").splitlines()[-1], "", seconds, ""
    result = json.loads((out / "result.json").read_text())
    figures = result["figures"]
    dice = f"{figures['dice_before']:.3f}, {figures['dice_after']:.3f}"
    improved = figures["dice_after"] > figures["dice_before"]
    peak = f"{result['peak_memory_mib']:.0f}"
    return "registered" if improved else "no better than before", dice, seconds, peak


if __name__ == "__main__":
    sys.exit(main())
