"""Time and memory that a process has used."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path


class Timer:
    """Context manager that measures wall time and the CPU time of all threads, in seconds."""

    seconds = 0.0
    cpu_seconds = 0.0

    def __enter__(self) -> Timer:
        self._start = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        wall, cpu = self._start
        self.seconds = time.perf_counter() - wall
        self.cpu_seconds = time.process_time() - cpu


def peak_mib() -> float:
    """Return the largest resident memory that this process has had so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would include the peak of the parent process
        line = next(s for s in status.read_text().splitlines() if s.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)
