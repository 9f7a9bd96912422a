"""Register a phantom under hard conditions, as users have them: python tools/trials.py.

Each row is one `regzoo register` in a process of its own, from a folder that is not the checkout:
without a network, from a read-only checkout, through a path with blanks and letters beyond ASCII,
without HOME, on one core, with 4 GiB of address space. Linux only: the conditions are set by
util-linux, two of them by root alone; what cannot be set up is said, not passed over.
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
class Trial:
    """A condition: what sets it and what is registered."""

    name: str
    prefix: tuple[str, ...] = ()
    folder: str = "plain"
    size: int = 64
    without: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    moving: str = "t2"


TRIALS = (
    Trial("nothing special"),
    Trial("no network", ("unshare", "--net")),
    Trial("read-only checkout", ("unshare", "--mount", "sh", "-c", READ_ONLY, "sh")),
    Trial(
        "path with blanks and letters beyond ASCII", folder="Größe 3 mm, überlagert/Ausgabe 東京"
    ),
    Trial("HOME unset", without=("HOME",)),
    Trial("one core", ("taskset", "--cpu-list", "0")),
    Trial("160^3, all the memory there is", size=160),
    Trial("160^3, 4 GiB of address space", ("prlimit", f"--as={4 * GIB}"), size=160),
    Trial("160^3, --memory 2GB", size=160, words=("--memory", "2GB")),
    Trial(
        "compact weights, no network",
        ("unshare", "--net"),
        words=("--model", "unigradicon"),
        moving="t1",
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.parse_args()
    print("| condition | came out | Dice before, after | s | peak MiB |\n|---|---|---|---|---|")
    good = True
    with tempfile.TemporaryDirectory() as scratch:
        for trial in TRIALS:
            folder = Path(scratch) / trial.folder
            files = write_pair(folder / f"{trial.size}{trial.moving}", trial)
            row = run(trial, files, folder / "result")
            good &= row[0] in ("registered", "could not be set up")
            print(f"| {trial.name} | {' | '.join(row)} |", flush=True)
    return 0 if good else 1


def write_pair(folder: Path, trial: Trial) -> dict[str, Path]:
    """Write the trial's phantom, T1 fixed, with labels, on tilted grids of other axes."""
    files = {name: folder / f"{name}.nii.gz" for name in ("fixed", "moving")}
    files |= {f"{name}_labels": folder / f"{name}_labels.nii.gz" for name in ("fixed", "moving")}
    if folder.exists():
        return files
    folder.mkdir(parents=True)
    pair = make_pair(
        7,
        shape=(trial.size,) * 3,
        spacing=(160 / trial.size,) * 3,
        axes="LPS",
        moving_axes="RAS",
        tilt_degrees=8,
        contrasts=("t1", trial.moving),
    )
    for side in ("fixed", "moving"):
        grid = getattr(pair, f"{side}_grid")
        write_volume(files[side], getattr(pair, side), grid, torch.int16)
        write_volume(files[f"{side}_labels"], getattr(pair, f"{side}_labels"), grid)
    return files


def run(trial: Trial, files: dict[str, Path], out: Path) -> tuple[str, str, str, str]:
    """Register a pair under a condition: what came out, Dice, seconds, peak MiB."""
    if trial.prefix and subprocess.run([*trial.prefix, "true"], capture_output=True).returncode:
        return "could not be set up", "", "", ""
    shutil.rmtree(out, ignore_errors=True)
    words = [*trial.prefix, sys.executable, "-m", "zoo", "register", "--out", str(out)]
    words += [str(files["fixed"]), str(files["moving"]), *trial.words]
    for key in ("fixed_labels", "moving_labels"):
        words += ["--" + key.replace("_", "-"), str(files[key])]
    environment = {k: v for k, v in os.environ.items() if k not in trial.without}
    started = time.monotonic()
    done = subprocess.run(
        words, cwd=files["fixed"].parent, env=environment, capture_output=True, text=True
    )
    seconds = f"{time.monotonic() - started:.0f}"
    if done.returncode:
        return (done.stderr.strip() or "failed").splitlines()[-1], "", seconds, ""
    result = json.loads((out / "result.json").read_text())
    figures = result["figures"]
    dice = f"{figures['dice_before']:.3f}, {figures['dice_after']:.3f}"
    better = figures["dice_after"] > figures["dice_before"]
    peak = f"{result['peak_memory_mib']:.0f}"
    return "registered" if better else "not better than the start", dice, seconds, peak


if __name__ == "__main__":
    sys.exit(main())
