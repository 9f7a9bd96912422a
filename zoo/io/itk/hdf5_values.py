"""Values of an untrusted HDF5 file, checked before they are read.

HDF5 files can point to other files (external links, external storage, virtual datasets), run
filters from shared libraries, and describe arrays that are far larger than the file. None of this
occurs in a transform, so it is refused.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from zoo.errors import UserError
from zoo.io.files import damaged_file_error
from zoo.io.limits import MAX_DEFLATE_RATIO

_MAX_TEXT_BYTES = 256
_MAX_HEAP_BYTES = 1 << 20
_REFERENCE = struct.Struct("<IQI")  # length of the text, address of its heap, index in the heap
_HEAP = struct.Struct("<5s3xQ")  # signature and version, size
_HEAP_OBJECT = struct.Struct("<H6xQ")  # index (0: the rest is free), size
_MAX_CHUNK_BYTES = 64 << 20  # a chunk may be larger than a small dataset
_MAX_CHUNKS = 1 << 17
_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}


def hard_linked(path: Path, group: Any, name: str) -> Any:
    """Return the group or dataset `name` in `group`, or None; links to other places are refused."""
    link = group.get(name, getlink=True)
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        raise UserError(
            f"{path}: {name} is a {type(link).__name__}, which can lead to another file; store the "
            "values themselves"
        )
    return group.get(name)


def read_text(path: Path, dataset: Any) -> str:
    """Return the text of a dataset of one ASCII string."""
    check_storage(path, dataset)
    if h5py.check_string_dtype(dataset.dtype) is None or dataset.size != 1:
        raise damaged_file_error(path, f"{_name(dataset)} is not one string")
    if dataset.dtype.kind == "S" and dataset.dtype.itemsize > _MAX_TEXT_BYTES:
        raise damaged_file_error(path, f"{_name(dataset)} is longer than {_MAX_TEXT_BYTES} bytes")
    if dataset.dtype.kind == "O":
        return _variable_text(path, dataset).decode("ascii")
    return bytes(np.ravel(dataset[()])[0]).decode("ascii")


def read_vector(path: Path, dataset: Any, most: int) -> np.ndarray:
    """Return the at most `most` floating-point numbers of a dataset, flattened, in native order."""
    check_storage(path, dataset)
    dtype = dataset.dtype
    if dtype.kind != "f" or dtype.itemsize not in (4, 8):
        raise damaged_file_error(
            path,
            f"{_name(dataset)} has numbers of type {dtype}; only float32 and float64 are allowed",
        )
    if dataset.size > most:
        raise damaged_file_error(
            path, f"{_name(dataset)} has {dataset.size} numbers; at most {most} are allowed"
        )
    values = np.empty(dataset.shape, dtype.newbyteorder("="))
    if values.size:
        dataset.read_direct(values)
    return values.ravel()


def _variable_text(path: Path, dataset: Any) -> bytes:
    """Return a string of variable length, which lies in a global heap of the file.

    The heap is parsed here, because the HDF5 library loops forever on some damaged heaps. Lengths
    and addresses have eight bytes, as in all files that ITK and h5py write.
    """
    offset = dataset.id.get_offset()
    if offset is None:
        raise damaged_file_error(path, f"{_name(dataset)} is not stored in one piece")
    with path.open("rb") as stream:
        stream.seek(offset)
        length, address, wanted = _REFERENCE.unpack(stream.read(_REFERENCE.size))
        stream.seek(min(address, path.stat().st_size))
        heap = stream.read(_MAX_HEAP_BYTES)
    magic, size = _HEAP.unpack_from(heap)
    position, end = _HEAP.size, min(size, len(heap))
    while magic == b"GCOL\1" and position + _HEAP_OBJECT.size <= end:
        index, size = _HEAP_OBJECT.unpack_from(heap, position)
        start = position + _HEAP_OBJECT.size
        if index == wanted and length <= min(size, _MAX_TEXT_BYTES, end - start):
            return heap[start : start + length].rstrip(b"\0")
        if index in (0, wanted):
            break
        position = start + -(-size // 8) * 8
    raise damaged_file_error(path, f"the text of {_name(dataset)} cannot be found")


def check_storage(path: Path, dataset: Any) -> None:
    """Refuse a dataset whose values are not stored completely in this file."""
    if not isinstance(dataset, h5py.Dataset):
        raise damaged_file_error(path, "a group without type or parameters is not an ITK transform")
    creation = dataset.id.get_create_plist()
    layout = creation.get_layout()
    if layout == h5py.h5d.VIRTUAL or creation.get_external_count():
        raise UserError(
            f"{path}: {_name(dataset)} is stored in another file; store the values themselves"
        )
    if dataset.shape is None:
        raise damaged_file_error(path, f"{_name(dataset)} has no values")
    needed = math.prod(dataset.shape) * _stored_size(dataset)
    stored = dataset.id.get_storage_size()
    if layout != h5py.h5d.CHUNKED:
        complete = stored == needed
    else:
        _check_filters(path, dataset, creation)
        complete = _check_chunks(path, dataset, needed, stored)
    if not complete or stored > path.stat().st_size:
        raise damaged_file_error(path, f"not all values of {_name(dataset)} are stored")
    if needed > max(1, stored) * MAX_DEFLATE_RATIO:
        raise damaged_file_error(
            path, f"the {stored} bytes of {_name(dataset)} cannot expand to {needed}"
        )


def _check_filters(path: Path, dataset: Any, creation: Any) -> None:
    """Allow each of deflate, shuffle and fletcher32 once; other filters may load a library."""
    filters = [creation.get_filter(k)[0] for k in range(creation.get_nfilters())]
    if not set(filters) <= _FILTERS or len(set(filters)) < len(filters):
        raise UserError(
            f"{path}: {_name(dataset)} is stored with the filters {filters}; only gzip, shuffle "
            "and fletcher32 are allowed: write it again"
        )


def _check_chunks(path: Path, dataset: Any, needed: int, stored: int) -> bool:
    """Return whether all chunks are stored; refuse a chunk that is much larger than the dataset."""
    chunk = math.prod(dataset.chunks) * _stored_size(dataset)
    if chunk > max(needed, _MAX_CHUNK_BYTES) or chunk > max(1, stored) * MAX_DEFLATE_RATIO:
        raise damaged_file_error(path, f"{_name(dataset)} has chunks of {chunk} bytes")
    pairs = zip(dataset.shape, dataset.chunks, strict=True)
    expected = math.prod(-(-size // step) for size, step in pairs)
    if expected > _MAX_CHUNKS:
        raise damaged_file_error(path, f"{_name(dataset)} has {expected} chunks")
    return bool(dataset.id.get_num_chunks() == expected)


def _stored_size(dataset: Any) -> int:
    """Return the bytes per value; a string of variable length is stored as a reference."""
    text = h5py.check_string_dtype(dataset.dtype)
    if text is not None and text.length is None:
        return _REFERENCE.size
    return int(dataset.dtype.itemsize)


def _name(dataset: Any) -> str:
    """Return the name of a dataset without characters that cannot be printed."""
    return ascii(str(dataset.name)[:120])[1:-1]
