"""Learn2Reg's displacement fields: (X, Y, Z, 3) in voxels, .nii.gz or .npz.

d says where a voxel i of the fixed image lies in the moving one: i + d(i), in voxels of the moving
image, component k along array axis k. The header is ignored, so that both grids must be given.
The challenge's archives of its first years hold (3, X, Y, Z), in half precision, and often at half
the size along each axis (still in voxels of the full size; its evaluation widens them with
quadratic splines, and so does this reader).
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import zoom

from zoo.errors import UserError
from zoo.geometry import Grid, Transform
from zoo.geometry.sampling import identity_index
from zoo.io.atomic import atomic_path
from zoo.io.files import ZIP, AnyPath, broken, existing_file, head
from zoo.io.nifti import nifti_array, open_nifti, write_nifti
from zoo.io.volume import check_finite


def is_npz(path: Path) -> bool:
    """Say whether the file begins as a zip archive does."""
    return head(path, len(ZIP)) == ZIP


def read_learn2reg(path: AnyPath, fixed: Grid, moving: Grid) -> Transform:
    """Read a field. Beyond the fixed grid the map is the one between the two grids' voxels."""
    file = existing_file(path)
    array = _npz(file) if is_npz(file) else nifti_array(open_nifti(file))
    field = torch.from_numpy(_components_first(file, array, fixed))
    check_finite(file, field)
    return Transform.from_voxels(field, fixed, moving.affine @ fixed.inverse)


def write_learn2reg(path: AnyPath, transform: Transform, fixed: Grid, moving: Grid) -> None:
    """Write the map as (X, Y, Z, 3) float32, .nii.gz on the fixed grid or .npz (`arr_0`)."""
    index = transform.moving_index(fixed, moving)
    step = index - identity_index(fixed.shape, device=index.device)
    array = step[0].movedim(0, -1).cpu().contiguous().numpy()
    if str(path).endswith(".npz"):
        _write_npz(path, array)
    else:
        write_nifti(path, array, fixed)


def _write_npz(path: AnyPath, array: np.ndarray) -> None:
    """Write `arr_0` as `np.savez_compressed` does, but quickly: floats hardly shrink further."""
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("arr_0.npy", "w", force_zip64=True) as stream,
    ):
        np.save(stream, array, allow_pickle=False)


def _npz(path: Path) -> np.ndarray:
    """Return the one array of an archive, or its `arr_0`; Python objects are never unpacked."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            name = names[0] if len(names) == 1 else "arr_0"
            if name not in names:
                raise UserError(
                    f"{path} holds {', '.join(names) or 'nothing'}; one array, or one named arr_0, "
                    "is allowed"
                )
            array: np.ndarray = archive[name]
    except (
        *(ValueError, EOFError, OSError, RuntimeError, NotImplementedError, MemoryError),
        *(zipfile.BadZipFile, zlib.error),
    ) as error:
        if "pickle" in str(error):
            raise UserError(
                f"{path} holds Python objects, which could run code; only numbers are allowed: "
                "save the array with its own type"
            ) from error
        raise broken(path, error) from error
    if not isinstance(array, np.ndarray):
        raise UserError(f"{path} is a zip of other files; a field is one array, as numpy saves it")
    if array.dtype.kind != "f":
        raise UserError(f"{path} holds {array.dtype}; a field holds floating-point numbers")
    return array


def _components_first(path: Path, array: np.ndarray, fixed: Grid) -> np.ndarray:
    """Return the field as float32 [3, X, Y, Z] on the fixed grid, voxels."""
    if array.shape == (*fixed.shape, 3):
        return np.ascontiguousarray(np.moveaxis(array, -1, 0), dtype=np.float32)
    array = array.astype(np.float32)
    if array.shape == (3, *fixed.shape):
        return array
    if tuple(2 * n for n in array.shape) == (6, *fixed.shape):
        return np.stack([zoom(component, 2, order=2) for component in array])
    raise UserError(
        f"{path} has the shape {array.shape}; for the fixed image {fixed.shape} it must be "
        f"{(*fixed.shape, 3)} or {(3, *fixed.shape)}: give the fixed image of this field"
    )
