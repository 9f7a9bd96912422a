"""ITK transforms as HDF5: a composite of AffineTransform and DisplacementFieldTransform.

SimpleITK, ANTs and nitransforms all read this composite. The field is stored as compressed float32;
strings are ASCII, the only encoding that ITK reads.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from zoo.errors import UserError
from zoo.geometry import Grid, Transform
from zoo.io.atomic import atomic_path
from zoo.io.files import HDF5_MAGIC, AnyPath, damaged_file_error, existing_file, first_bytes
from zoo.io.itk.hdf5_values import hard_linked, read_text, read_vector
from zoo.io.itk.parts import (
    COMPOSITE,
    Part,
    affine_part,
    combine_parts,
    field_part,
    parse_class_name,
    without_composite,
)
from zoo.io.limits import MAX_TRANSFORM_PARTS, MAX_VOXELS

_GROUP = "TransformGroup"
_TEXT = h5py.string_dtype("ascii")


def is_hdf5(path: Path) -> bool:
    """Return whether the file begins like HDF5."""
    return first_bytes(path, len(HDF5_MAGIC)) == HDF5_MAGIC


def read_itk_hdf5(path: AnyPath) -> Transform:
    """Read a transform, or a composite of affine transforms and at most one displacement field."""
    file = existing_file(path)
    try:
        with h5py.File(file, "r") as store:
            parts = _read_parts(file, store)
    except MemoryError as error:
        raise UserError(f"{file} does not fit into memory; give a smaller field") from error
    except (
        *(OSError, RuntimeError, KeyError, TypeError, AttributeError, IndexError, ValueError),
        *(OverflowError, NotImplementedError, struct.error),
    ) as error:
        raise damaged_file_error(file, " ".join(ascii(str(error))[1:-1].split())[:200]) from error
    return combine_parts(file, parts)


def write_itk_hdf5(path: AnyPath, transform: Transform, grid: Grid | None = None) -> None:
    """Write affine and field as a composite, the field on `grid` or by default on its own grid."""
    parts = [affine_part(transform.affine)]
    target = grid or transform.grid
    if transform.field is not None and target is not None:
        parts.append(field_part(transform.displacement_on(target), target))
    content = io.BytesIO()  # on a full disk, HDF5 itself would leave a file that cannot be closed
    with h5py.File(content, "w") as store:
        _write_parts(store, parts)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def _write_parts(store: Any, parts: list[Part]) -> None:
    """Write a composite of the parts in the layout of ITK."""
    for name in ("HDFVersion", "ITKVersion", "OSName", "OSVersion"):
        store.create_dataset(name, data=["unknown"], dtype=_TEXT)
    _create_group(store, 0, COMPOSITE)
    for number, part in enumerate(parts, start=1):
        group = _create_group(store, number, part.class_name)
        compression = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        group.create_dataset(
            "TransformParameters",
            data=part.parameters,
            **(compression if part.parameters.size > 12 else {}),
        )
        group.create_dataset("TransformFixedParameters", data=part.fixed)


def _create_group(store: Any, number: int, kind: str) -> Any:
    """Create the group of part `number`, with its class, and return it."""
    group = store.create_group(f"{_GROUP}/{number}")
    group.create_dataset("TransformType", data=[f"{kind}_double_3_3"], dtype=_TEXT)
    return group


def _read_parts(path: Path, store: Any) -> list[Part]:
    """Return the parts of an open file in their order, without the leading composite."""
    group = hard_linked(path, store, _GROUP)
    if not isinstance(group, h5py.Group) or not len(group):
        raise UserError(
            f"{path} is HDF5 but has no {_GROUP} with transforms; give a transform that ITK wrote"
        )
    count = len(group)
    if count > MAX_TRANSFORM_PARTS:
        raise UserError(
            f"{path} has {count} transforms; at most {MAX_TRANSFORM_PARTS} are allowed: combine "
            "them first"
        )
    parts = []
    for number in range(count):
        part = hard_linked(path, group, str(number))
        if not isinstance(part, h5py.Group):
            raise damaged_file_error(path, f"its transforms are not numbered 0 to {count - 1}")
        parts.append(_read_part(path, part))
    return without_composite(path, parts)


def _read_part(path: Path, group: Any) -> Part:
    """Return one part. Older versions of ITK misspelled the prefix of the vectors as Tranform."""
    kind = parse_class_name(path, read_text(path, hard_linked(path, group, "TransformType")))
    if kind == COMPOSITE:
        return Part(kind, np.empty(0), np.empty(0))
    vectors = []
    for name in ("Parameters", "FixedParameters"):
        dataset = hard_linked(path, group, f"Transform{name}")
        if dataset is None:
            dataset = hard_linked(path, group, f"Tranform{name}")
        vectors.append(read_vector(path, dataset, 3 * MAX_VOXELS if name == "Parameters" else 64))
    return Part(kind, vectors[0], vectors[1].astype(np.float64))
