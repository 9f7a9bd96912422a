"""Keeping freed memory for the next tensor: fresh pages are dear.

The C library gives the memory of a large tensor back to the system as soon as it is freed, and the
next one has to be paged in anew, 4 KiB at a time: a seventh of the time of a network on the CPU.
"""

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # the names of glibc's malloc.h
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Have the process keep the memory of freed tensors of up to 2 GiB; say whether it will.

    It concerns the whole process, so it is for a program to call at its start, never for a
    library. Only glibc (Linux) has the setting; elsewhere nothing happens.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(name, _LARGEST) == 1 for name in (_MMAP_THRESHOLD, _TRIM_THRESHOLD))
