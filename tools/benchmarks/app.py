"""Time of `regzoo app` from the choice of a file to its first picture.

    OMP_NUM_THREADS=1 PYTHONPATH=tools python -m benchmarks.app --size 256

The image is one of a phantom pair, with noise that compresses badly. The browser is the Chromium of
the system with WebGL in software, through playwright. Processor time is that of the server with its
processes, and that of the browser with its own.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
import torch

from zoo.io.volume import write_volume
from zoo.synthesis.phantom import make_pair

WATCH = """
() => {
  const slot = document.querySelector("section.slot");
  window.times = {};
  slot.addEventListener("change", () => (times.chosen = performance.now()), true);
  const watch = () => {
    if (slot.querySelector(".facts")) times.facts ??= performance.now();
    if (slot.querySelector("[data-drawn] canvas")) times.drawn ??= performance.now();
    else requestAnimationFrame(watch);
  };
  watch();
}"""


def processor_seconds(process: psutil.Process) -> float:
    """Return the processor time of a process and of those that it started and that still run."""
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        times = one.cpu_times()
        total += times.user + times.system
    return total


def time_file(chromium: Any, file: Path) -> tuple[float, float, float, float]:
    """Return the seconds until the facts and the picture, and processor seconds, of one file."""
    command = [sys.executable, "-m", "zoo", "app", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = re.search(r"http://\S+", server.stdout.readline())
        assert address is not None, "the app did not start"
        here, there = psutil.Process(), psutil.Process(server.pid)
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address[0])
        page.wait_for_selector(".slot")
        page.wait_for_timeout(10_000)  # a user does not choose a file at once
        page.evaluate(WATCH)
        before = processor_seconds(there), processor_seconds(here)
        page.locator("input[type=file]").first.set_input_files(file)
        page.wait_for_function("() => window.times.drawn", timeout=300_000)
        after = processor_seconds(there), processor_seconds(here)
        times = page.evaluate("times")
        page.close()
        server.terminate()
    spent = after[0] - before[0]
    facts, drawn = ((times[key] - times["chosen"]) / 1000 for key in ("facts", "drawn"))
    return facts, drawn, spent, after[1] - before[1] - spent


def main() -> None:
    """Print a row per format."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=256)
    size = parser.parse_args().size
    made = make_pair(3, shape=(size,) * 3, spacing=(256 / size,) * 3, tilt_degrees=12)
    print("| file | MB | s to the facts | s to the picture | s of server | s of browser |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        for suffix in (".nii", ".nii.gz"):
            file = Path(name) / f"image{suffix}"
            write_volume(file, made.fixed, made.fixed_grid, torch.int16)
            figures = " | ".join(f"{seconds:.1f}" for seconds in time_file(chromium, file))
            print(f"| {suffix} | {file.stat().st_size / 1e6:.0f} | {figures} |", flush=True)
        chromium.close()
    print(f"load: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
