"""Volumes: one real number a voxel on a grid in RAS+ mm, from any format the zoo reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from zoo.errors import UserError
from zoo.geometry import Grid
from zoo.io import itk_image
from zoo.io.files import AnyPath, existing_file
from zoo.io.nifti import Nifti, nifti_array, nifti_grid, open_nifti, write_nifti


@dataclass(frozen=True, eq=False)
class ImageHeader:
    """What a volume's header says: its grid and the type its voxels are stored as."""

    path: Path
    grid: Grid
    dtype: str


@dataclass(frozen=True, eq=False)
class Volume:
    """`data` [X, Y, Z] of a torch type near the stored one, on `grid`, read from `path`."""

    data: Tensor
    grid: Grid
    path: Path


def read_header(path: AnyPath) -> ImageHeader:
    """Look at a volume's header only; it is refused for the same reasons as by `read_volume`."""
    file = existing_file(path)
    if itk_image.is_itk_image(file):
        grid, dtype = itk_image.read_itk_header(file)
        _check_solid(file, grid.shape)
        return ImageHeader(file, grid, dtype)
    nifti = _open_volume(file)
    return ImageHeader(file, nifti_grid(nifti), nifti.dtype.name)


def read_volume(path: AnyPath) -> Volume:
    """Read a volume. Integers stay integers unless the file scales them, which gives float32."""
    file = existing_file(path)
    if itk_image.is_itk_image(file):
        array, grid = itk_image.read_itk_image(file)
        _check_solid(file, grid.shape)
    else:
        nifti = _open_volume(file)
        grid = nifti_grid(nifti)
        array = nifti_array(nifti).reshape(grid.shape)
    data = torch.from_numpy(array)
    check_finite(file, data)
    return Volume(data, grid, file)


def write_volume(path: AnyPath, data: Tensor, grid: Grid, dtype: torch.dtype | None = None) -> None:
    """Write `data` [X, Y, Z] on `grid`, by suffix: .nii, .nii.gz, .mha or .nrrd.

    `dtype` changes the type first; floats are rounded and clipped to an integer type's range.
    """
    if tuple(data.shape) != grid.shape:
        raise ValueError(f"data of {tuple(data.shape)} do not fit a grid of {grid.shape}")
    data = _cast(data.detach().cpu(), dtype or data.dtype)
    if str(path).endswith(itk_image.WRITTEN):
        itk_image.write_itk_image(path, data.numpy(), grid)
    elif str(path).endswith((".nii", ".nii.gz")):
        write_nifti(path, data.numpy(), grid)
    else:
        raise UserError(
            f"cannot write a volume as {path}: the name must end in .nii.gz, .nii, "
            + " or ".join(itk_image.WRITTEN)
        )


def check_finite(path: Path, data: Tensor) -> None:
    """Refuse data with NaN or Inf, and say how many there are and where the first one is."""
    if not data.is_floating_point() or bool(torch.isfinite(data).all()):
        return
    bad = torch.nonzero(~torch.isfinite(data))
    where = tuple(bad[0].tolist())
    first = where[-3:]  # a field's components come before its axes
    raise UserError(
        f"{path} has {len(bad)} values that are NaN or Inf (the first is {data[where]} at voxel "
        f"{first}); only finite numbers are allowed: replace them, with "
        "numpy: np.nan_to_num(image, nan=0, posinf=0, neginf=0), or by the value of the background",
        code="not-finite",
    )


def _open_volume(path: Path) -> Nifti:
    """Open a NIfTI file and check that it holds one volume with one number a voxel."""
    nifti = open_nifti(path)
    shape = nifti.shape
    if len(shape) == 5 and shape[3] == 1 and shape[4] > 1:
        raise UserError(
            f"{path} is a vector field of shape {shape}, not a volume; "
            "give a volume (X, Y, Z), or use the file where a transform is asked for",
            code="vector-field",
        )
    if len(shape) > 3 and max(shape[3:]) > 1:
        raise UserError(
            f"{path} holds several volumes (shape {shape}); one volume (X, Y, Z) is allowed: "
            "save the one you want to a file of its own",
            code="several-volumes",
        )
    _check_solid(path, shape)
    return nifti


def _check_solid(path: Path, shape: tuple[int, ...]) -> None:
    """Refuse fewer than three axes of at least two voxels each."""
    if len(shape) < 3 or min(shape[:3]) < 2:
        raise UserError(
            f"{path} is not three-dimensional: its shape is {shape}; "
            "a volume needs at least two voxels along each of three axes",
            code="not-3d",
        )


def _cast(data: Tensor, dtype: torch.dtype) -> Tensor:
    """Change to `dtype`, or to the nearest type that the formats hold."""
    held = {torch.bool: torch.uint8, torch.float16: torch.float32, torch.bfloat16: torch.float32}
    dtype = held.get(dtype, dtype)
    if dtype not in (data.dtype, torch.float32, torch.float64) and data.dtype != torch.bool:
        limits = torch.iinfo(dtype)
        if data.is_floating_point():
            data = data.double().round().clamp(limits.min, limits.max)
        elif int(data.min()) < limits.min or int(data.max()) > limits.max:
            raise ValueError(f"values {int(data.min())} to {int(data.max())} do not fit {dtype}")
    return data.to(dtype).contiguous()
