"""Conversion between volumes and the images of several libraries, in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zoo.errors import UserError
from zoo.geometry import Grid
from zoo.io.lps import FLIP, grid_to_itk
from zoo.io.volume import Volume, check_finite

if TYPE_CHECKING:
    import nibabel
    import SimpleITK

_STORED_TYPES = {
    "bool": "uint8", "uint16": "int32", "uint32": "int64", "uint64": "int64",
    "float16": "float32", "longdouble": "float64", "float128": "float64",
}  # fmt: skip

ACCEPTED = (
    "a path, a nibabel image, (array, affine), a MONAI MetaTensor, a SimpleITK image or a Volume"
)


def as_volume(image: Any, name: str = "image") -> Volume:
    """Return an image in memory as a volume; error messages call it `name`.

    Accepted are a nibabel image; a pair (array [X, Y, Z], affine 4x4 to RAS+ mm); a MONAI
    MetaTensor [X, Y, Z] or [1, X, Y, Z]; a SimpleITK image; a `Volume`. None of these libraries is
    imported to recognise an image.
    """
    if isinstance(image, Volume):
        return image
    try:
        array, affine = _array_and_affine(image, name)
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} cannot be read ({error}); give {ACCEPTED}") from error
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 3 or min(array.shape) < 2:
        raise UserError(
            f"{name} has the shape {tuple(array.shape)}; a volume is [X, Y, Z] with at least two "
            "voxels per axis"
        )
    if array.dtype.kind not in "biuf":
        raise UserError(f"{name} has voxels of type {array.dtype}; only real numbers are allowed")
    largest = np.iinfo(np.int64).max
    if array.dtype == np.uint64 and int(array.max()) > largest:
        raise UserError(
            f"{name} has the uint64 value {array.max()}; at most {largest} is allowed: save it as "
            "a smaller type"
        )
    grid = _grid(array.shape, affine, name)
    dtype = _STORED_TYPES.get(array.dtype.name, array.dtype.name)
    data = torch.from_numpy(np.array(array, dtype=dtype))
    check_finite(Path(name), data)
    return Volume(data, grid, Path(name))


def to_nibabel(volume: Volume) -> nibabel.Nifti1Image:
    """Return a volume as a nibabel image with the voxel type of the volume, in mm."""
    import nibabel

    make: Any = nibabel.Nifti1Image  # nibabel has no annotations
    array = volume.data.numpy()
    image = make(array, volume.grid.affine.numpy(), dtype=array.dtype)
    image.header.set_xyzt_units("mm")
    return image  # type: ignore[no-any-return]


def to_sitk(volume: Volume) -> SimpleITK.Image:
    """Return a volume as a SimpleITK image, whose origin and direction are LPS mm."""
    try:
        import SimpleITK as sitk
    except ImportError:
        raise UserError(
            "SimpleITK is not installed; run `pip install SimpleITK`, or use to_nibabel()"
        ) from None
    image: Any = sitk.GetImageFromArray(
        np.ascontiguousarray(volume.data.numpy().transpose(2, 1, 0))
    )
    origin, spacing, direction = grid_to_itk(volume.grid)
    image.SetOrigin(origin.tolist())
    image.SetSpacing(spacing.tolist())
    image.SetDirection(direction.flatten().tolist())
    return image  # type: ignore[no-any-return]


def _array_and_affine(image: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the array and the 4x4 affine to RAS+ mm."""
    if isinstance(image, tuple) and len(image) == 2:
        array, affine = image
        if isinstance(array, torch.Tensor):
            array = _to_numpy(array)
        return np.asarray(array), np.asarray(affine, dtype=float)
    if hasattr(image, "GetDirection") and hasattr(image, "GetSpacing"):
        return _from_sitk(image, name)
    if isinstance(image, torch.Tensor) and hasattr(image, "affine"):
        return _from_metatensor(image)
    if hasattr(image, "dataobj") and hasattr(image, "affine"):
        # get_fdata would convert integers to floats and keep a copy in the cache of the image.
        return np.asanyarray(image.dataobj), np.asarray(image.affine, dtype=float)
    raise UserError(f"{name} is a {type(image).__name__}; give {ACCEPTED}")


def _to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor as an array; bfloat16, which numpy lacks, becomes float32."""
    tensor = tensor.detach().cpu()
    array: np.ndarray = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array


def _from_sitk(image: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    import SimpleITK as sitk

    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise UserError(
            f"{name} is {image.GetDimension()}-dimensional with "
            f"{image.GetNumberOfComponentsPerPixel()}-component voxels; a volume has 3 axes and "
            "one number per voxel"
        )
    array = sitk.GetArrayFromImage(image).transpose(2, 1, 0)
    direction = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine = np.eye(4)
    affine[:3] = np.column_stack([direction, image.GetOrigin()])
    return array, FLIP.numpy() @ affine


def _from_metatensor(image: Any) -> tuple[np.ndarray, np.ndarray]:
    array = _to_numpy(image.as_tensor())
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    affine = torch.as_tensor(image.affine).detach().cpu().double()
    if str(image.meta.get("space", "RAS")).upper().endswith("LPS"):
        affine = FLIP @ affine
    return array, affine.numpy()


def _grid(shape: tuple[int, ...], affine: np.ndarray, name: str) -> Grid:
    """Return the grid of a shape and an affine, which must be invertible."""
    try:
        return Grid((shape[0], shape[1], shape[2]), torch.from_numpy(affine))
    except ValueError as error:
        raise UserError(
            f"the affine of {name} must be an invertible 4x4 matrix from voxels to RAS+ mm, "
            f"not {affine.tolist()}"
        ) from error
