"""Freed memory is kept: measured by page faults, in a process of its own."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes
import resource
import torch
from zoo.networks.memory import keep_freed_memory

PR_SET_THP_DISABLE = 41  # a large page is one fault: how many there are is the kernel's whim
ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
if {keep}:
    assert keep_freed_memory()
least = 1 << 60
for _ in range(5):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16 << 20).add(1).sum()
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    least = min(least, faults)
print(least)
"""


def faults(keep):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(keep=keep)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc has the setting")
def test_the_next_tensor_takes_the_memory_of_the_last():
    assert faults(keep=True) < faults(keep=False) / 4
