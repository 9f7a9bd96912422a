"""The wall time since this process started, which includes the import of torch."""

from __future__ import annotations

import os
import time
from pathlib import Path

import zoo


def seconds_since_start() -> float:
    """Return the seconds since this process started.

    Linux records the start. On other systems it is taken to be the import of `zoo`, which precedes
    the import of torch.
    """
    since_import = time.perf_counter() - zoo.IMPORTED_AT
    try:
        # The command name in the second field may hold spaces and parentheses.
        fields = (
            Path("/proc/self/stat")
            .read_text(encoding="utf-8", errors="replace")
            .rpartition(")")[2]
            .split()
        )
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # seconds after booting
        since_start = time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, ValueError, IndexError, AttributeError):
        return since_import
    # Some sandboxes report 0 as the start.
    return since_start if started > 0 and since_start >= since_import else since_import
