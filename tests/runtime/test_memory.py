"""Freed memory is kept: page faults are counted in a process of its own."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes
import resource
import torch
from zoo.runtime.memory import keep_freed_memory

PR_SET_THP_DISABLE = 41  # with large pages the number of faults varies
ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
if {keep}:
    assert keep_freed_memory()
faults = []
for _ in range(24):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16 << 20).add(1).sum()
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
# The heap needs up to ten rounds to settle, because alignment splits its large blocks.
print(max(faults[-6:]))
"""


def faults(keep):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(keep=keep)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the setting")
def test_the_next_tensor_reuses_the_memory_of_the_last():
    assert faults(keep=True) < faults(keep=False) / 4
