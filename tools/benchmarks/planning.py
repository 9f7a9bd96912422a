"""How fast and how robust is planning, and what does it plan?

    PYTHONPATH=tools python -m benchmarks.planning headers       4000 small files with real headers
    PYTHONPATH=tools python -m benchmarks.planning volumes       50, 100, 200 volumes of 160x192x224
    PYTHONPATH=tools python -m benchmarks.planning fuzz          10,000 random inputs
    PYTHONPATH=tools python -m benchmarks.planning plans FOLDER  the plans of the datasets in FOLDER

`benchmarks.choices` measures whether the plans are good, `benchmarks.memory` the memory that they
budget. Files are written to a temporary folder and removed again.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np

from benchmarks.harness.measurement import Timer
from benchmarks.harness.processes import ROOT, environment, run_regzoo


def main() -> None:
    """Run one of the measurements."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["headers", "volumes", "fuzz", "plans"])
    parser.add_argument("folder", nargs="?", type=Path, help="of plans: where the datasets are")
    parser.add_argument("--counts", default="50,100,200", help="of volumes, comma-separated")
    args = parser.parse_args()
    if args.what == "headers":
        time_headers()
    elif args.what == "volumes":
        for count in args.counts.split(","):
            check_volumes(int(count))
    elif args.what == "fuzz":
        run_random_tests()
    elif args.folder is None:
        parser.error("plans needs a folder: benchmarks.planning plans FOLDER")
    else:
        print_plans(args.folder)


def write_dataset(root: Path, count: int, shape: tuple[int, int, int]) -> None:
    """Write a dataset of `count` mostly empty volumes and the dataset.json that pairs them."""
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


def time_headers(count: int = 4000) -> None:
    """Time the reading of a dataset and of all its headers."""
    from zoo.datasets.headers import inspect_header
    from zoo.datasets.reading import read_dataset
    from zoo.datasets.scan import volume_names

    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder) / "d", count, (20, 22, 24))
        with Timer() as reading:
            dataset = read_dataset(Path(folder) / "d")
        with Timer() as inspection:
            headers = [inspect_header(dataset.root, name) for name in volume_names(dataset)]
    assert len(headers) == count
    assert not any(problems for _, problems in headers)
    print(
        f"{count} files: list {reading.seconds:.2f} s, headers {inspection.seconds:.2f} s "
        f"({1e3 * inspection.seconds / count:.2f} ms each), "
        f"{reading.cpu_seconds + inspection.cpu_seconds:.2f} s CPU"
    )


def check_volumes(count: int) -> None:
    """Run `regzoo check --verify` on `count` volumes; print time and largest peak memory."""
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder) / "d", count, (160, 192, 224))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with Timer() as timer:
            output = run_regzoo(["check", str(Path(folder) / "d"), "--verify"])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = sum(getattr(after, t) - getattr(before, t) for t in ("ru_utime", "ru_stime"))
    print(
        f"{count} volumes: {timer.seconds:.1f} s, {cpu:.1f} s CPU, largest process "
        f"{after.ru_maxrss / 1024:.0f} MiB: {output.strip().splitlines()[-1]}",
        flush=True,
    )


def run_random_tests(count: int = 10_000) -> None:
    """Run the property-based tests of the suite with `count` inputs in all."""
    variables = environment(FUZZ_EXAMPLES=str(-(-count // 3)))
    command = [sys.executable, "-m", "pytest", "-q", "tests/planning/test_planning_fuzz.py"]
    with Timer() as timer:
        process = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
    print(f"{count} inputs, {timer.seconds:.0f} s: {process.stdout.splitlines()[-1]}")


def print_plans(folder: Path) -> None:
    """Print and explain the plan of each dataset.json below a folder."""
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


if __name__ == "__main__":
    main()
