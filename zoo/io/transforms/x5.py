"""Transforms in the X5 format, the HDF5 format proposed for BIDS, as nitransforms writes it.

The numbers are in RAS mm and map points of the fixed image to points of the moving image. A file
has one affine transform, or one displacement field (X, Y, Z, 3) on the grid of its domain. What
nitransforms reads from a file of several transforms is the first of them, so such files are neither
read nor written.
"""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from zoo.errors import UserError
from zoo.geometry import Grid, Transform
from zoo.geometry.grid import is_invertible
from zoo.io.atomic import atomic_path
from zoo.io.files import AnyPath, damaged_file_error, existing_file
from zoo.io.itk.hdf5_heaps import heaps_are_sound
from zoo.io.itk.hdf5_values import check_storage, hard_linked, read_vector
from zoo.io.limits import MAX_VOXELS
from zoo.io.volume import check_finite

_KINDS = np.array([b"space"] * 3 + [b"vector"])
_HDF5_ERRORS = (
    *(OSError, RuntimeError, KeyError, TypeError, AttributeError, IndexError, ValueError),
    *(OverflowError, NotImplementedError, struct.error),
)


def is_x5(path: Path) -> bool:
    """Return whether an HDF5 file says that it is X5, in texts that can be read safely."""
    if not heaps_are_sound(path):
        return False
    try:
        with h5py.File(path, "r") as store:
            return _attribute(store, "Format") == "X5"
    except _HDF5_ERRORS:
        return False


def read_x5(path: AnyPath) -> Transform:
    """Read an affine transform or a displacement field."""
    file = existing_file(path)
    if not heaps_are_sound(file):
        raise damaged_file_error(file, "its texts are damaged")
    try:
        with h5py.File(file, "r") as store:
            return _read(file, store)
    except MemoryError as error:
        raise UserError(f"{file} does not fit into memory; give a smaller field") from error
    except _HDF5_ERRORS as error:
        raise damaged_file_error(file, " ".join(ascii(str(error))[1:-1].split())[:200]) from error


def write_x5(path: AnyPath, transform: Transform, grid: Grid | None) -> None:
    """Write an affine transform, or the whole transform as a field on `grid`."""
    grid = grid or transform.grid
    content = io.BytesIO()  # on a full disk, HDF5 itself would leave a file that cannot be closed
    with h5py.File(content, "w") as store:
        store.attrs["Format"], store.attrs["Version"] = "X5", np.uint16(1)
        group = store.create_group("TransformGroup/0")
        group.attrs["ArrayLength"] = 1
        group.attrs["Metadata"] = json.dumps({"WrittenBy": "regzoo"})
        group.create_dataset("DimensionKinds", data=_KINDS)
        if transform.field is None:
            kind = ("linear", "affine", "matrix")
            group.create_dataset("Transform", data=transform.affine.numpy())
        else:
            assert grid is not None
            kind = ("nonlinear", "densefield", "displacements")
            field = transform.dense_on(grid).field
            assert field is not None
            values = field.movedim(0, -1).cpu().contiguous().numpy()
            group.create_dataset(
                "Transform", data=values, compression="gzip", compression_opts=1, shuffle=True
            )
        group.attrs["Type"], group.attrs["SubType"], group.attrs["Representation"] = kind
        if grid is not None:
            domain = group.create_group("Domain")
            domain.attrs["Coordinates"] = "cartesian"
            domain.create_dataset("Grid", data=np.uint8(1))
            domain.create_dataset("Size", data=np.array(grid.shape))
            domain.create_dataset("Mapping", data=grid.affine.numpy())
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def _read(file: Path, store: Any) -> Transform:
    """Return the transform of an open file."""
    groups = hard_linked(file, store, "TransformGroup")
    count = len(groups) if isinstance(groups, h5py.Group) else 0
    group = hard_linked(file, groups, "0") if count == 1 else None
    if not isinstance(group, h5py.Group) or int(group.attrs.get("ArrayLength", 1)) != 1:
        raise UserError(
            f"{file} has {count} transforms or a series of them; only one transform is allowed: "
            "store each in a file of its own, and give them in order (-t A -t B)"
        )
    kind, model = _attribute(group, "Type"), _attribute(group, "Representation")
    values = hard_linked(file, group, "Transform")
    if kind == "linear":
        matrix = torch.from_numpy(read_vector(file, values, 16).astype(float).reshape(4, 4))
        is_affine = matrix[3].tolist() == [0, 0, 0, 1] and bool(torch.isfinite(matrix).all())
        if not (is_affine and is_invertible(matrix[:3, :3])):
            raise UserError(f"{file}: {matrix.tolist()} is not an affine transform; write it again")
        return Transform(matrix)
    if kind != "nonlinear" or model not in ("displacements", "deformations"):
        raise UserError(
            f"{file} has a transform of the type {kind[:40]!r}, {model[:40]!r}; allowed are linear "
            "transforms, displacements and deformations: convert it with nitransforms"
        )
    grid = _domain(file, group)
    if tuple(values.shape) != (*grid.shape, 3):
        raise damaged_file_error(file, f"a field {values.shape} on a domain of {grid.shape} voxels")
    numbers = read_vector(file, values, 3 * MAX_VOXELS).astype(np.float32)
    field = torch.from_numpy(numbers).view(*grid.shape, 3).movedim(-1, 0).contiguous()
    check_finite(file, field)
    if model == "deformations":
        index = torch.cartesian_prod(*[torch.arange(float(n)) for n in grid.shape])
        field -= grid.to_world(index).float().T.view(3, *grid.shape)
    return Transform(torch.eye(4), field, grid)


def _domain(file: Path, group: Any) -> Grid:
    """Return the grid of a transform."""
    domain = hard_linked(file, group, "Domain")
    if not isinstance(domain, h5py.Group):
        raise damaged_file_error(file, "a field without a domain")
    size = hard_linked(file, domain, "Size")
    check_storage(file, size)
    if size.shape != (3,) or size.dtype.kind not in "iu" or size.dtype.itemsize > 8:
        raise damaged_file_error(file, "the size of the domain is not three whole numbers")
    mapping = read_vector(file, hard_linked(file, domain, "Mapping"), 16).astype(float)
    x, y, z = (int(n) for n in size[()])
    if x * y * z > MAX_VOXELS:
        raise damaged_file_error(file, f"a domain of {x} x {y} x {z} voxels")
    return Grid((x, y, z), torch.from_numpy(mapping.reshape(4, 4)))


def _attribute(group: Any, name: str) -> str:
    """Return an attribute that is a text; an empty text if there is none."""
    value = group.attrs.get(name, "")
    return value if isinstance(value, str) else ""
