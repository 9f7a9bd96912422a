"""What this process may use: processor cores, memory, and modules in its child processes."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
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


def return_freed_memory() -> bool:
    """Return memory that this process has freed to the system; return whether that is possible.

    It is called between the stages of a registration, because `zoo.runtime.memory` keeps freed
    memory, in which a later stage would find no room for its larger volumes. Only glibc can do it.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    ctypes.CDLL(None).malloc_trim(0)
    return True


@contextmanager
def safe_import_path() -> Iterator[None]:
    """Let child processes that start in the block import nothing from the working folder.

    Python's multiprocessing starts a child with the working folder in its path, so that a file
    called pickle.py in a folder from elsewhere would run. Python 3.10 has no way to prevent this.
    """
    name = "PYTHONSAFEPATH"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
