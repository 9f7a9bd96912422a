"""Measures planning: headers a second, decoding of large volumes, random inputs, memory of runs.

    python tools/benchmark_planning.py headers            4000 small files with real headers
    python tools/benchmark_planning.py volumes            50, 100 and 200 volumes of 160x192x224
    python tools/benchmark_planning.py fuzz               10,000 random inputs
    python tools/benchmark_planning.py memory             zoo/planning/memory.json for mcbo
    python tools/benchmark_planning.py choices FOLDER     what is planned for the volumes in FOLDER

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
    from zoo.planning.headers import look_at
    from zoo.planning.reading import read_dataset
    from zoo.planning.survey import volumes

    with tempfile.TemporaryDirectory() as folder:
        write_many(Path(folder) / "d", count, (20, 22, 24))
        began, cpu = time.perf_counter(), time.process_time()
        dataset = read_dataset(Path(folder) / "d")
        middle = time.perf_counter()
        found = [look_at(dataset.root, name) for name in volumes(dataset)]
        end = time.perf_counter()
        assert len(found) == count
        assert not any(problems for _, problems in found)
        print(
            f"{count} files: list {middle - began:.2f} s, headers {end - middle:.2f} s "
            f"({1e3 * (end - middle) / count:.2f} ms each), "
            f"{time.process_time() - cpu:.2f} s of one processor"
        )


def volumes_of(count: int) -> None:
    """Check `count` volumes of 160x192x224 whole; time and peak memory of all processes."""
    with tempfile.TemporaryDirectory() as folder:
        write_many(Path(folder) / "d", count, (160, 192, 224))
        words = [sys.executable, "-m", "zoo", "check", str(Path(folder) / "d"), "--verify"]
        began = time.perf_counter()
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{count} volumes: {seconds:.1f} s, largest process {peak:.0f} MiB: {done.stdout[-90:]}")


def fuzz(count: int = 10_000) -> None:
    """Run the suite's random tests with `count` inputs in all."""
    environment = os.environ | {"FUZZ_EXAMPLES": str(-(-count // 3))}
    words = [sys.executable, "-m", "pytest", "-q", "tests/planning/test_planning_fuzz.py"]
    began = time.perf_counter()
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    print(f"{count} inputs, {time.perf_counter() - began:.0f} s: {done.stdout.splitlines()[-1]}")


def memory(sides: tuple[int, ...] = (96, 128, 168)) -> None:
    """Measure the peak memory of mcbo at three sizes and write the line through them."""
    import torch

    from zoo.io.volume import write_volume
    from zoo.workflow.phantom import make_pair

    points = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for side in sides:
            pair = make_pair(
                1, shape=(side,) * 3, spacing=(256 / side,) * 3, contrasts=("ct", "ct")
            )
            write_volume(folder / "f.nii.gz", pair.fixed, pair.fixed_grid, torch.int16)
            write_volume(folder / "m.nii.gz", pair.moving, pair.moving_grid, torch.int16)
            words = ["-m", "zoo", "register", str(folder / "f.nii.gz"), str(folder / "m.nii.gz")]
            words += ["--out", str(folder / "out"), "--model", "mcbo", "--device", "cpu"]
            subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True)
            result = json.loads((folder / "out" / "result.json").read_text())
            points.append((side**3, result["peak_memory_mib"]))
            print(f"{side}^3 voxels: {points[-1][1]} MiB")
    record("mcbo", points)


def record(model: str, points: list[tuple[int, int]]) -> None:
    """Write the steepest line that lies on or above every measured point into memory.json."""
    slope, base = np.polyfit([v / 1e6 for v, _ in points], [m for _, m in points], 1)
    base += max(0.0, max(m - (base + slope * v / 1e6) for v, m in points))
    path = ROOT / "zoo" / "planning" / "memory.json"
    known = json.loads(path.read_text())
    known[model] = {
        "base_mib": round(float(base), 1),
        "mib_per_megavoxel": round(float(slope), 1),
        "smallest": min(v for v, _ in points),
        "largest": max(v for v, _ in points),
        "measured": f"whole `regzoo register` on a CPU: {dict(points)} (voxels: MiB)",
    }
    path.write_text(json.dumps(known, indent=2) + "\n")


def choices(folder: Path) -> None:
    """Say for every pair of a folder with dataset.json files below it what is planned, and why."""
    from zoo.planning.fingerprint import take_fingerprint
    from zoo.planning.plan import explain, make_plan
    from zoo.planning.presets import models
    from zoo.planning.reading import read_dataset
    from zoo.planning.rules import Wishes

    for path in sorted(folder.rglob("dataset.json")):
        document = take_fingerprint(read_dataset(path)).document
        plan = make_plan(document, Wishes(accept_guess=True, available=tuple(models())))
        print(f"{path.parent.name}\n{explain(plan)}\n")


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["headers", "volumes", "fuzz", "memory", "choices"])
    parser.add_argument("folder", nargs="?", type=Path)
    given = parser.parse_args()
    if given.what == "volumes":
        for count in (50, 100, 200):
            volumes_of(count)
    elif given.what == "choices":
        choices(given.folder)
    else:
        {"headers": headers, "fuzz": fuzz, "memory": memory}[given.what]()


if __name__ == "__main__":
    main()
