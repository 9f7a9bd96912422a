"""The versions and the memory of the running process, as result.json reports them."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version

import torch

from zoo import __version__


def versions() -> dict[str, str]:
    """Return the versions of the software that a result depends on."""
    return {
        "regzoo": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "monai": version("monai"),
    }


def peak_memory_mib() -> int | None:
    """Return the largest resident memory of this process so far, in MiB; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))
