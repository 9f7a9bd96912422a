"""Values of an untrusted HDF5 file, checked before they are read.

HDF5 files can point to other files (external links, external storage, virtual datasets), run
filters from shared libraries, and describe arrays that are far larger than the file. None of this
occurs in a transform, so it is refused.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from zoo.errors import UserError
from zoo.io.files import damaged_file_error
from zoo.io.limits import MAX_DEFLATE_RATIO

_MAX_TEXT_BYTES = 256
_REFERENCE_BYTES = 16
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
    _check_storage(path, dataset)
    if h5py.check_string_dtype(dataset.dtype) is None or dataset.size != 1:
        raise damaged_file_error(path, f"{_name(dataset)} is not one string")
    if dataset.dtype.kind == "S" and dataset.dtype.itemsize > _MAX_TEXT_BYTES:
        raise damaged_file_error(path, f"{_name(dataset)} is longer than {_MAX_TEXT_BYTES} bytes")
    value = np.ravel(dataset[()])[0]
    return bytes(value).decode("ascii")


def read_vector(path: Path, dataset: Any, most: int) -> np.ndarray:
    """Return the at most `most` floating-point numbers of a dataset, flattened, in native order."""
    _check_storage(path, dataset)
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


def _check_storage(path: Path, dataset: Any) -> None:
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
        return _REFERENCE_BYTES
    return int(dataset.dtype.itemsize)


def _name(dataset: Any) -> str:
    """Return the name of a dataset without characters that cannot be printed."""
    return ascii(str(dataset.name)[:120])[1:-1]
