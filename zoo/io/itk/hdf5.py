"""ITK transforms as HDF5: a composite of AffineTransform and DisplacementFieldTransform.

SimpleITK, ANTs and nitransforms all read this composite. The field is stored as compressed float32;
strings are ASCII, the only encoding that ITK reads.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from zoo.errors import UserError
from zoo.geometry import Grid, Transform
from zoo.io.atomic import atomic_path
from zoo.io.files import HDF5_MAGIC, AnyPath, damaged_file_error, existing_file, first_bytes
from zoo.io.itk.parts import (
    COMPOSITE,
    Part,
    affine_part,
    combine_parts,
    field_part,
    parse_class_name,
    without_composite,
)

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
    except (OSError, RuntimeError) as error:
        raise damaged_file_error(file, error) from error
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
    group = store.get(_GROUP)
    if not isinstance(group, h5py.Group) or not len(group):
        raise UserError(
            f"{path} is HDF5 but has no {_GROUP} (it has {', '.join(store) or 'nothing'}); "
            "give a transform that ITK wrote"
        )
    names = sorted(group, key=lambda name: int(name) if name.isdigit() else -1)
    parts = [_read_part(path, group[name]) for name in names]
    return without_composite(path, parts)


def _read_part(path: Path, group: Any) -> Part:
    """Return one part. Older versions of ITK misspelled the prefix of the vectors as Tranform."""
    try:
        kind = parse_class_name(path, np.ravel(group["TransformType"][()])[0].decode("ascii"))
        if kind == COMPOSITE:
            return Part(kind, np.empty(0), np.empty(0))
        vectors = []
        for name in ("Parameters", "FixedParameters"):
            key = f"Transform{name}" if f"Transform{name}" in group else f"Tranform{name}"
            vectors.append(np.asarray(group[key][()], dtype=group[key].dtype.newbyteorder("=")))
        parameters, fixed = vectors
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise damaged_file_error(path, f"{group.name} is not an ITK transform: {error}") from error
    if parameters.dtype.kind != "f" or fixed.dtype.kind != "f":
        raise damaged_file_error(
            path, f"{group.name} has parameters of type {parameters.dtype} and {fixed.dtype}"
        )
    return Part(kind, parameters.ravel(), fixed.ravel().astype(np.float64))
