"""The processor cores and the memory that this process may use."""

from __future__ import annotations

import os
from pathlib import Path

_FALLBACK_BYTES = 4 << 30


def available_cores() -> int:
    """Return the number of cores that this process may run on, at least 1."""
    if hasattr(os, "sched_getaffinity"):  # Linux; batch systems often lend a part of the machine
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def available_memory() -> int:
    """Return the memory that can be allocated now, in bytes, the disk cache included.

    Systems without /proc/meminfo are taken to have 4 GiB.
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024 * next(int(s.split()[1]) for s in lines if s.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return _FALLBACK_BYTES
