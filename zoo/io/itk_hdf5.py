"""ITK's HDF5 transforms: written as a composite of AffineTransform and DisplacementFieldTransform.

That pair is what SimpleITK, ANTs and nitransforms all read. Numbers of the field are kept as
float32 and compressed; the strings are ASCII, since ITK reads no others.
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
from zoo.io.files import HDF5, AnyPath, broken, existing_file, head
from zoo.io.itk_parts import COMPOSITE, Part, affine_part, field_part, kind_of, transform_of

_GROUP = "TransformGroup"
_TEXT = h5py.string_dtype("ascii")


def is_hdf5(path: Path) -> bool:
    """Say whether the file begins as HDF5 does."""
    return head(path, len(HDF5)) == HDF5


def read_itk_hdf5(path: AnyPath) -> Transform:
    """Read a transform or a composite of affine parts and at most one displacement field."""
    file = existing_file(path)
    try:
        with h5py.File(file, "r") as store:
            parts = _parts(file, store)
    except (OSError, RuntimeError) as error:
        raise broken(file, error) from error
    return transform_of(file, parts)


def write_itk_hdf5(path: AnyPath, transform: Transform, grid: Grid | None = None) -> None:
    """Write affine and field as a composite; the field on `grid`, or on its own grid."""
    parts = [affine_part(transform.affine)]
    target = grid or transform.grid
    if transform.field is not None and target is not None:
        parts.append(field_part(transform.displacement_on(target), target))
    content = io.BytesIO()  # HDF5 itself leaves a full disk with a broken open file
    with h5py.File(content, "w") as store:
        _write_parts(store, parts)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def _write_parts(store: Any, parts: list[Part]) -> None:
    """Write a composite of the parts, as ITK lays it out."""
    for name in ("HDFVersion", "ITKVersion", "OSName", "OSVersion"):
        store.create_dataset(name, data=["unknown"], dtype=_TEXT)
    _write_type(store, 0, COMPOSITE)
    for number, part in enumerate(parts, start=1):
        group = _write_type(store, number, part.kind)
        packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        group.create_dataset(
            "TransformParameters",
            data=part.parameters,
            **(packed if part.parameters.size > 12 else {}),
        )
        group.create_dataset("TransformFixedParameters", data=part.fixed)


def _write_type(store: Any, number: int, kind: str) -> Any:
    """Make the group of one part and return it."""
    group = store.create_group(f"{_GROUP}/{number}")
    group.create_dataset("TransformType", data=[f"{kind}_double_3_3"], dtype=_TEXT)
    return group


def _parts(path: Path, store: Any) -> list[Part]:
    """Return the parts of an open file in its own order, without the word composite."""
    group = store.get(_GROUP)
    if not isinstance(group, h5py.Group) or not len(group):
        raise UserError(
            f"{path} is HDF5 but holds no {_GROUP} (it holds {', '.join(store) or 'nothing'}); "
            "give a transform that ITK wrote"
        )
    names = sorted(group, key=lambda name: int(name) if name.isdigit() else -1)
    parts = [_part(path, group[name]) for name in names]
    if parts[0].kind == COMPOSITE:
        return parts[1:]
    if len(parts) > 1:
        raise UserError(f"{path} holds {len(parts)} transforms and no composite; write it as one")
    return parts


def _part(path: Path, group: Any) -> Part:
    """Return one part; older ITK spelled the names of its vectors without the s."""
    try:
        kind = kind_of(path, np.ravel(group["TransformType"][()])[0].decode("ascii"))
        if kind == COMPOSITE:
            return Part(kind, np.empty(0), np.empty(0))
        vectors = []
        for name in ("Parameters", "FixedParameters"):
            key = f"Transform{name}" if f"Transform{name}" in group else f"Tranform{name}"
            vectors.append(np.asarray(group[key][()], dtype=group[key].dtype.newbyteorder("=")))
        parameters, fixed = vectors
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise broken(path, f"{group.name} is not a transform of ITK's: {error}") from error
    if parameters.dtype.kind != "f" or fixed.dtype.kind != "f":
        raise broken(path, f"{group.name} holds {parameters.dtype} and {fixed.dtype} for numbers")
    return Part(kind, parameters.ravel(), fixed.ravel().astype(np.float64))
