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

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(9 << 20).add(1).sum()  # 36 MiB; glibc keeps up to 32 MiB of its own accord
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

PR_SET_THP_DISABLE = 41  # with large pages the number of faults varies
ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
print(min(faults() for _ in range(6)))
assert keep_freed_memory()
# The heap needs up to ten rounds to settle, because alignment splits its large blocks.
print(max([faults() for _ in range(24)][-6:]))
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the setting")
def test_the_next_tensor_reuses_the_memory_of_the_last():
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    without, kept = map(int, done.stdout.split())
    assert kept < without / 4
