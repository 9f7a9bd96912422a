"""The heaps of strings in an untrusted HDF5 file, checked before the library reads them.

The HDF5 library loops forever on a heap whose free space has the size 0. Attributes that are texts
are read from such heaps by the library, so all heaps of a file are checked first.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_SIGNATURE = b"GCOL\1\0\0\0"
_SIZE = struct.Struct("<8xQ")
_OBJECT = struct.Struct("<H6xQ")  # index (0: free space, whose size includes this header), size


def heaps_are_sound(path: Path) -> bool:
    """Return whether the objects of every heap in a file lie one after the other within it."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = data.find(_SIGNATURE)
        while start >= 0:
            if not _is_sound(data, start):
                return False
            start = data.find(_SIGNATURE, start + len(_SIGNATURE))
    return True


def _is_sound(data: mmap.mmap, start: int) -> bool:
    """Return whether the heap at `start` is sound."""
    if start + _SIZE.size > len(data):
        return False
    end = start + _SIZE.unpack_from(data, start)[0]
    if end > len(data):
        return False
    position = start + _SIZE.size
    while position + _OBJECT.size <= end:
        index, size = _OBJECT.unpack_from(data, position)
        if index == 0 and size < _OBJECT.size:
            return False
        position += size if index == 0 else _OBJECT.size + -(-size // 8) * 8
    return bool(position <= end)
