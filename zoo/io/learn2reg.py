"""Displacement fields of the Learn2Reg challenge: (X, Y, Z, 3) in voxels, .nii.gz or .npz.

A field d maps voxel i of the fixed image to i + d(i) in voxels of the moving image; component k
belongs to array axis k. The header of the file is ignored, so both grids must be given. The
challenge's first years used archives of (3, X, Y, Z) in half precision, often at half the size
along each axis but still in voxels of the full size. The official evaluation resizes them with
quadratic splines, and so does this reader.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np
import torch

from zoo.errors import UserError
from zoo.geometry import Grid, Transform
from zoo.geometry.sampling import identity_index
from zoo.io.atomic import atomic_path
from zoo.io.files import ZIP_MAGIC, AnyPath, existing_file, first_bytes
from zoo.io.limits import check_voxel_count
from zoo.io.nifti import open_nifti, read_nifti_array, write_nifti
from zoo.io.npz import read_npz_array
from zoo.io.volume import check_finite


def is_npz(path: Path) -> bool:
    """Return whether the file begins like a zip archive."""
    return first_bytes(path, len(ZIP_MAGIC)) == ZIP_MAGIC


def read_learn2reg(path: AnyPath, fixed: Grid, moving: Grid) -> Transform:
    """Read a field; `fixed` and `moving` are the grids of the two images.

    Outside the fixed grid the transform maps each voxel index to the same index of the moving grid.
    """
    file = existing_file(path)
    array = read_npz_array(file) if is_npz(file) else _read_nifti(file)
    field = torch.from_numpy(_components_first(file, array, fixed))
    check_finite(file, field)
    return Transform.from_voxels(field, fixed, moving.affine @ fixed.inverse)


def write_learn2reg(path: AnyPath, transform: Transform, fixed: Grid, moving: Grid) -> None:
    """Write (X, Y, Z, 3) float32: a .nii.gz on the fixed grid, or a .npz with one array `arr_0`."""
    index = transform.moving_index(fixed, moving)
    displacement = index - identity_index(fixed.shape, device=index.device)
    array = displacement[0].movedim(0, -1).cpu().contiguous().numpy()
    if str(path).endswith(".npz"):
        _write_npz(path, array)
    else:
        write_nifti(path, array, fixed)


def _write_npz(path: AnyPath, array: np.ndarray) -> None:
    """Write like `np.savez_compressed`, at a fast level: more would hardly shrink the floats."""
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("arr_0.npy", "w", force_zip64=True) as stream,
    ):
        np.save(stream, array, allow_pickle=False)


def _read_nifti(path: Path) -> np.ndarray:
    """Return the voxels of a NIfTI file that has at most three numbers per voxel."""
    nifti = open_nifti(path)
    check_voxel_count(path, nifti.shape, math.prod(nifti.shape) // 3)
    return read_nifti_array(nifti)


def _components_first(path: Path, array: np.ndarray, fixed: Grid) -> np.ndarray:
    """Return a field of any accepted layout as float32 [3, X, Y, Z] on the fixed grid, voxels."""
    if array.shape == (*fixed.shape, 3):
        return np.ascontiguousarray(np.moveaxis(array, -1, 0), dtype=np.float32)
    array = array.astype(np.float32)
    if array.shape == (3, *fixed.shape):
        return array
    if tuple(2 * n for n in array.shape) == (6, *fixed.shape):
        from scipy.ndimage import zoom

        return np.stack([zoom(component, 2, order=2) for component in array])
    raise UserError(
        f"{path} has the shape {array.shape}; for the fixed image {fixed.shape} it must be "
        f"{(*fixed.shape, 3)} or {(3, *fixed.shape)}: give the fixed image of this field"
    )
