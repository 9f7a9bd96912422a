"""Images in memory, of whichever library, as volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from zoo.errors import UserError
from zoo.geometry import Grid
from zoo.io.lps import FLIP, grid_from_itk
from zoo.io.volume import Volume, check_finite

ACCEPTED = (
    "a path, a nibabel image, (array, affine), a MONAI MetaTensor, a SimpleITK image or a Volume"
)


def as_volume(image: Any, name: str = "image") -> Volume:
    """Return an image in memory as a volume; `name` is what errors call it.

    Taken are a nibabel image; a pair (array [X, Y, Z], affine 4x4 to RAS+ mm); a MONAI MetaTensor
    [X, Y, Z] or [1, X, Y, Z]; a SimpleITK image; a `Volume`. No library is imported for it.
    """
    if isinstance(image, Volume):
        return image
    array, grid = _read(image, name)
    if array.ndim != 3 or min(array.shape) < 2:
        raise UserError(f"{name} has the shape {tuple(array.shape)}; a volume is [X, Y, Z]")
    if array.dtype.kind not in "biuf":
        raise UserError(f"{name} holds {array.dtype}; only real numbers are allowed")
    held = {"bool": "uint8", "uint16": "int32", "uint32": "int64", "uint64": "int64"}
    held |= {"float16": "float32", "longdouble": "float64", "float128": "float64"}
    data = torch.from_numpy(np.array(array, dtype=held.get(array.dtype.name, array.dtype.name)))
    check_finite(Path(name), data)
    return Volume(data, grid, Path(name))


def _read(image: Any, name: str) -> tuple[np.ndarray, Grid]:
    if isinstance(image, tuple) and len(image) == 2:
        return _placed(np.asarray(image[0]), np.asarray(image[1], dtype=float), name)
    if hasattr(image, "GetDirection") and hasattr(image, "GetSpacing"):
        return _from_sitk(image)
    if isinstance(image, torch.Tensor) and hasattr(image, "affine"):
        return _from_metatensor(image, name)
    if hasattr(image, "dataobj") and hasattr(image, "affine"):
        # Not get_fdata: integers stay integers, and nothing is kept in the image's cache.
        return _placed(np.asanyarray(image.dataobj), np.asarray(image.affine, dtype=float), name)
    raise UserError(f"{name} is a {type(image).__name__}; give {ACCEPTED}")


def _from_sitk(image: Any) -> tuple[np.ndarray, Grid]:
    import SimpleITK as sitk

    array = sitk.GetArrayFromImage(image)
    array = array.transpose(*range(array.ndim - 1, -1, -1))
    if array.ndim != 3:
        return array, Grid((2, 2, 2), torch.eye(4, dtype=torch.float64))
    x, y, z = array.shape
    origin, spacing, direction = (
        np.asarray(part) for part in (image.GetOrigin(), image.GetSpacing(), image.GetDirection())
    )
    return array, grid_from_itk((x, y, z), origin, spacing, direction)


def _from_metatensor(image: Any, name: str) -> tuple[np.ndarray, Grid]:
    array = image.detach().cpu().as_tensor().numpy()
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    affine = torch.as_tensor(image.affine).detach().cpu().double()
    if str(image.meta.get("space", "RAS")).upper().endswith("LPS"):
        affine = FLIP @ affine
    return _placed(array, affine.numpy(), name)


def _placed(array: np.ndarray, affine: np.ndarray, name: str) -> tuple[np.ndarray, Grid]:
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or not np.linalg.det(affine):
        raise UserError(
            f"the affine of {name} must be a 4x4 matrix from voxels to RAS+ mm that can be "
            f"inverted, not {affine.tolist()}"
        )
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    x, y, z = (*array.shape, 2, 2, 2)[:3]
    return array, Grid((x, y, z), torch.from_numpy(affine))
