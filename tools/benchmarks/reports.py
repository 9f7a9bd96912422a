"""Size of report.html, the time to write it, and the time until a browser shows its viewer.

    OMP_NUM_THREADS=1 PYTHONPATH=tools python -m benchmarks.reports --sizes 160,256

A phantom pair per size is registered with its true transform. Times to write are of the processor.
The browser is the Chromium of the system with WebGL in software, through playwright.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

from zoo.datasets.pairs import Pair
from zoo.evaluation import measure
from zoo.io.volume import Volume
from zoo.registration.result import RegisteredPair
from zoo.reporting import write_report
from zoo.synthesis.phantom import make_pair


def registration_of(size: int) -> RegisteredPair:
    """Return a phantom pair of `size` voxels along each axis, registered with its truth."""
    made = make_pair(3, shape=(size, size, size), spacing=(256 / size,) * 3, tilt_degrees=12)
    volume = {
        name: Volume(getattr(made, name), getattr(made, f"{name.split('_')[0]}_grid"), Path(name))
        for name in ("fixed", "moving", "fixed_labels", "moving_labels")
    }
    pair = Pair(
        name="phantom",
        fixed=volume["fixed"],
        moving=(volume["moving"],),
        fixed_labels=volume["fixed_labels"],
        moving_labels=volume["moving_labels"],
        fixed_points=made.fixed_points,
        moving_points=made.moving_points,
    )
    return RegisteredPair(pair, made.truth)


def seconds_to_open(page: Path) -> float | None:
    """Return the seconds from the address to the first picture; None without a browser."""
    chromium = shutil.which("chromium")
    if chromium is None:
        return None
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        started = time.perf_counter()
        opened.goto(page.as_uri())
        opened.wait_for_selector("#viewer[data-state=open]", timeout=300_000)
        opened.evaluate("viewer.scene.nv.drawScene()")
        seconds = time.perf_counter() - started
        browser.close()
    return seconds


def main() -> None:
    """Print a row per size and kind of report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="160,256")
    sizes = [int(size) for size in parser.parse_args().sizes.split(",")]
    print("| voxels | report | MiB | s to write | s to open |\n|---|---|---|---|---|")
    for size in sizes:
        registration = registration_of(size)
        measured = measure(registration.pair, registration.transform)
        result = {
            "fixed": "fixed.nii.gz",
            "moving": ["moving.nii.gz"],
            "quality": "ok",
            "warnings": [],
            "figures": measured.figures,
            "labels": measured.labels,
        }
        for kind in ("light", "full"):
            with tempfile.TemporaryDirectory() as name:
                started = time.process_time()
                write_report(registration, result, Path(name), kind=kind)
                write = time.process_time() - started
                page = Path(name) / "report.html"
                opened = seconds_to_open(page) if kind == "full" else None
                shown = "" if opened is None else f"{opened:.1f}"
                mib = page.stat().st_size / 2**20
                print(f"| {size}^3 | {kind} | {mib:.1f} | {write:.2f} | {shown} |", flush=True)
    print(f"load: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
