"""Keep freed memory in the process, because page faults slow down CPU inference.

The C library returns the memory of a large tensor to the system as soon as it is freed. The next
tensor then causes one page fault per 4 KiB. These faults take a seventh of the time of a network on
the CPU.
"""

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Make the process keep the memory of freed tensors of up to 2 GiB; return whether it does.

    The setting affects the whole process, so a program may call this at its start but a library
    must not. Only glibc (Linux) has the setting; elsewhere nothing changes.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(name, _LARGEST) == 1 for name in (_MMAP_THRESHOLD, _TRIM_THRESHOLD))
