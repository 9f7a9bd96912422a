"""Global heaps of HDF5, written by hand after section III.E of its file format specification."""

import struct


def stored(index, data):
    """Return an object of a heap: its header, and its data padded to a multiple of eight bytes."""
    return struct.pack("<HHIQ", index, 1, 0, len(data)) + data + bytes(-len(data) % 8)


def free(size):
    """Return free space, whose size includes its header of 16 bytes."""
    return struct.pack("<HHIQ", 0, 0, 0, size) + bytes(max(0, size - 16))


def heap(*objects, size=None, signature=b"GCOL\1"):
    """Return a heap of some objects, which by default has the size that it says."""
    content = b"".join(objects)
    stated = 16 + len(content) if size is None else size
    return signature + bytes(3) + struct.pack("<Q", stated) + content
