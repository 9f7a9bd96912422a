"""Measures planning: headers a second, decoding of large volumes, random inputs.

    python tools/benchmark_planning.py headers            4000 small files with real headers
    python tools/benchmark_planning.py volumes            50, 100 and 200 volumes of 160x192x224
    python tools/benchmark_planning.py fuzz               10,000 random inputs
    python tools/benchmark_planning.py plans FOLDER       what is planned for the datasets in FOLDER

Whether the plans are good, tools/benchmark_choices.py measures; memory tools/benchmark_memory.py.

Files are made in a temporary folder and removed again.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np

ROOT = Path(__file__).resolve().parents[1]


def write_many(root: Path, count: int, shape: tuple[int, int, int]) -> None:
    """Write `count` volumes of sparse content and the dataset.json that pairs them."""
    (root / "imagesTr").mkdir(parents=True)
    data = np.zeros(shape, np.int16)
    middle = tuple(slice(n // 4, 3 * n // 4) for n in shape)
    values = np.random.default_rng(0).integers(20, 900, data[middle].shape)
    names = []
    for k in range(count):
        data[middle] = values + k % 50
        data[0, 0, 0] = k
        affine = np.diag([-1.0, -1.0, 1.0, 1.0])
        affine[:3, 3] = k % 7, 50 + k % 11, -20
        image = nib.Nifti1Image(data, affine)
        image.set_sform(affine, 1)
        image.set_qform(affine, 1)
        image.header.set_xyzt_units("mm", "sec")
        name = f"imagesTr/Bench_{k:04d}_0000.nii.gz"
        (root / name).write_bytes(gzip.compress(image.to_bytes(), 1, mtime=0))
        names.append(name)
    pairs = [{"fixed": a, "moving": b} for a, b in zip(names[::2], names[1::2], strict=True)]
    document = {"name": "Bench", "modality": {"0": "MR"}, "registration_val": pairs}
    (root / "dataset.json").write_text(json.dumps(document))


def headers(count: int = 4000) -> None:
    """Time the reading of a dataset and of all its headers."""
    from zoo.datasets.headers import inspect_header
    from zoo.datasets.reading import read_dataset
    from zoo.datasets.scan import volume_names

    with tempfile.TemporaryDirectory() as folder:
        write_many(Path(folder) / "d", count, (20, 22, 24))
        began, cpu = time.perf_counter(), time.process_time()
        dataset = read_dataset(Path(folder) / "d")
        middle = time.perf_counter()
        found = [inspect_header(dataset.root, name) for name in volume_names(dataset)]
        end = time.perf_counter()
        assert len(found) == count
        assert not any(problems for _, problems in found)
        print(
            f"{count} files: list {middle - began:.2f} s, headers {end - middle:.2f} s "
            f"({1e3 * (end - middle) / count:.2f} ms each), "
            f"{time.process_time() - cpu:.2f} s of one processor"
        )


def volumes_of(count: int) -> None:
    """Check `count` volumes of 160x192x224 whole; time, and peak memory of the largest process."""
    with tempfile.TemporaryDirectory() as folder:
        write_many(Path(folder) / "d", count, (160, 192, 224))
        words = [sys.executable, "-m", "zoo", "check", str(Path(folder) / "d"), "--verify"]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
        seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = sum(getattr(after, t) - getattr(before, t) for t in ("ru_utime", "ru_stime"))
    peak = after.ru_maxrss / 1024
    told = done.stdout.strip().splitlines()[-1]
    print(
        f"{count} volumes: {seconds:.1f} s, {cpu:.1f} s of processors, largest process "
        f"{peak:.0f} MiB: {told}",
        flush=True,
    )


def fuzz(count: int = 10_000) -> None:
    """Run the suite's random tests with `count` inputs in all."""
    environment = os.environ | {"FUZZ_EXAMPLES": str(-(-count // 3))}
    words = [sys.executable, "-m", "pytest", "-q", "tests/planning/test_planning_fuzz.py"]
    began = time.perf_counter()
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    print(f"{count} inputs, {time.perf_counter() - began:.0f} s: {done.stdout.splitlines()[-1]}")


def plans(folder: Path) -> None:
    """Say for every pair of a folder with dataset.json files below it what is planned, and why."""
    from zoo.datasets.reading import read_dataset
    from zoo.hub.catalogue import load_catalogue
    from zoo.planning.evidence import UserOptions
    from zoo.planning.fingerprint import take_fingerprint
    from zoo.planning.plan import explain, make_plan

    for path in sorted(folder.rglob("dataset.json")):
        document = take_fingerprint(read_dataset(path)).document
        plan = make_plan(
            document, UserOptions(accept_guess=True, available=tuple(load_catalogue()))
        )
        print(f"{path.parent.name}\n{explain(plan)}\n")


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["headers", "volumes", "fuzz", "plans"])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--counts", default="50,100,200", help="of volumes")
    given = parser.parse_args()
    if given.what == "volumes":
        for count in given.counts.split(","):
            volumes_of(int(count))
    elif given.what == "plans":
        plans(given.folder)
    else:
        {"headers": headers, "fuzz": fuzz}[given.what]()


if __name__ == "__main__":
    main()
