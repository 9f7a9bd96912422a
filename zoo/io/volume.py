"""Reading and writing of volumes, with one real number per voxel, in all supported formats."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from zoo.errors import UserError
from zoo.geometry import Grid
from zoo.io.dicom.location import is_dicom
from zoo.io.files import AnyPath, existing_file
from zoo.io.itk import image as itk_image
from zoo.io.nifti import NiftiFile, nifti_grid, open_nifti, read_nifti_array, write_nifti


@dataclass(frozen=True, eq=False)
class ImageHeader:
    """The header of a volume: its grid, and the type in which its voxels are stored.

    A DICOM series also declares its modality and body part, as in its header, and `patient`, which
    is only compared and never written. `warnings` state what is unusual about its slices.
    """

    path: Path
    grid: Grid
    dtype: str
    modality: str = ""
    body_part: str = ""
    patient: str = field(default="", repr=False)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Volume:
    """The voxels of a volume, `data` [X, Y, Z], its grid and the file that it was read from."""

    data: Tensor
    grid: Grid
    path: Path


@dataclass(frozen=True, eq=False)
class Frames:
    """The volumes of a 4-D image, `data` [X, Y, Z, T], and the time between them if it is known."""

    data: Tensor
    grid: Grid
    path: Path
    seconds: float | None = None


def read_header(path: AnyPath, volume: int | None = None) -> ImageHeader:
    """Read and check only the header of a volume; `volume` is as in `read_volume`."""
    if is_dicom(path):
        from zoo.io.dicom.image import read_dicom_header

        dicom = read_dicom_header(path, volume)
        declared = (dicom.modality, dicom.body_part, dicom.patient, dicom.warnings)
        return ImageHeader(Path(path), dicom.grid, dicom.dtype, *declared)
    file = _existing_image(path)
    if itk_image.is_itk_image(file):
        grid, dtype = itk_image.read_itk_header(file)
        _check_three_axes(file, grid.shape)
        return ImageHeader(file, grid, dtype)
    nifti = _open_volume(file, volume)
    return ImageHeader(file, nifti_grid(nifti), nifti.dtype.name)


def read_volume(path: AnyPath, volume: int | None = None) -> Volume:
    """Read a volume. Integers stay integers, unless the file scales them to float32.

    Types that torch lacks are widened: uint16 becomes int32, uint32 becomes int64. A folder with a
    DICOM series, one file of it, or FOLDER#SERIES-UID is a volume too. `volume` chooses one volume,
    counted from 0, of a 4-D file; it has no effect on a 3-D file.
    """
    if is_dicom(path):
        from zoo.io.dicom.image import read_dicom

        array, grid = read_dicom(path, volume)
        return Volume(torch.from_numpy(array), grid, Path(path))
    file = _existing_image(path)
    if itk_image.is_itk_image(file):
        array, grid = itk_image.read_itk_image(file)
        _check_three_axes(file, grid.shape)
    else:
        nifti = _open_volume(file, volume)
        grid = nifti_grid(nifti)
        array = read_nifti_array(nifti).reshape(grid.shape)
    data = torch.from_numpy(array)
    check_finite(file, data)
    return Volume(data, grid, file)


def read_frames(path: AnyPath) -> Frames:
    """Read all volumes of a 4-D NIfTI file or a DICOM series; there must be at least two."""
    number = count_volumes(path)
    if number < 2:
        raise UserError(
            f"{path} has one volume; a series of several volumes (4-D NIfTI or DICOM) is needed"
        )
    if is_dicom(path):
        volumes = [read_volume(path, k) for k in range(number)]
        data = torch.stack([volume.data for volume in volumes], dim=-1)
        return Frames(data, volumes[0].grid, Path(path))
    nifti = open_nifti(path)
    _check_three_axes(Path(path), nifti.shape)
    data = torch.from_numpy(read_nifti_array(nifti))
    check_finite(Path(path), data.movedim(-1, 0))  # the last three axes are those of a voxel
    units = {8: 1.0, 16: 1e-3, 24: 1e-6}.get(int(nifti.header["xyzt_units"]) & 56, 1.0)
    seconds = float(nifti.header["pixdim"][4]) * units
    known = seconds if 0 < seconds < 1e6 else None  # false for NaN as well
    return Frames(data, nifti_grid(nifti), Path(path), known)


def write_frames(path: AnyPath, frames: Frames) -> None:
    """Write a 4-D image as .nii or .nii.gz."""
    write_nifti(path, frames.data.numpy(), frames.grid, seconds=frames.seconds)


def write_volume(path: AnyPath, data: Tensor, grid: Grid, dtype: torch.dtype | None = None) -> None:
    """Write `data` [X, Y, Z] on `grid` in the format of the suffix: .nii, .nii.gz, .mha or .nrrd.

    With `dtype` the data are converted first: floats are rounded and clipped to the range of an
    integer type.
    """
    if tuple(data.shape) != grid.shape:
        raise ValueError(f"data of shape {tuple(data.shape)} do not fit a grid of {grid.shape}")
    data = cast_voxels(data.detach().cpu(), dtype or data.dtype)
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
    """Refuse data with NaN or Inf; the error gives their number and the position of the first."""
    if not data.is_floating_point() or bool(torch.isfinite(data).all()):
        return
    positions = torch.nonzero(~torch.isfinite(data))
    first = tuple(positions[0].tolist())
    voxel = first[-3:]  # the components of a field come before its axes
    raise UserError(
        f"{path} contains NaN or Inf ({len(positions)} of {data.numel()} values; the first is "
        f"{data[first]} at voxel {voxel}); only finite numbers are allowed: replace them by the "
        "value of the background, for instance with numpy: "
        "np.nan_to_num(image, nan=0, posinf=0, neginf=0)",
        code="not-finite",
    )


def count_volumes(path: AnyPath) -> int:
    """Return the number of volumes of a NIfTI file or a DICOM series; 1 for any other volume."""
    if is_dicom(path):
        from zoo.io.dicom.series import find_series
        from zoo.io.dicom.stack import volumes_in

        return volumes_in(find_series(path))
    file = _existing_image(path)
    if itk_image.is_itk_image(file):
        return 1
    shape = open_nifti(file).shape
    return shape[3] if len(shape) == 4 else 1


def _existing_image(path: AnyPath) -> Path:
    """Return the path of an existing file; a folder here is one without DICOM images."""
    if Path(path).is_dir():
        raise UserError(
            f"{path} is a folder without DICOM images; give the name of a file, or a folder with a "
            "DICOM series"
        )
    return existing_file(path)


def _open_volume(path: Path, volume: int | None = None) -> NiftiFile:
    """Open a NIfTI file and check that it is, or choose, one volume with one number per voxel."""
    nifti = open_nifti(path)
    if volume is not None and len(nifti.shape) == 4 and nifti.shape[3] > 1:
        if not 0 <= volume < nifti.shape[3]:
            raise UserError(
                f"{path} has {nifti.shape[3]} volumes, so volume {volume} does not exist; use 0 to "
                f"{nifti.shape[3] - 1}"
            )
        nifti = nifti.volume(volume)
    shape = nifti.shape
    if len(shape) == 5 and shape[3] == 1 and shape[4] > 1:
        raise UserError(
            f"{path} is a vector field of shape {shape}, not a volume; "
            "give a volume (X, Y, Z), or use this file as a transform",
            code="vector-field",
        )
    if len(shape) > 3 and max(shape[3:]) > 1:
        raise UserError(
            f"{path} has several volumes (shape {shape}); one volume (X, Y, Z) is allowed: choose "
            f"one with --volume 0 to {shape[3] - 1}, or save it to a separate file",
            code="several-volumes",
        )
    _check_three_axes(path, shape)
    return nifti


def _check_three_axes(path: Path, shape: tuple[int, ...]) -> None:
    """Refuse a shape without three axes of at least two voxels each."""
    if len(shape) < 3 or min(shape[:3]) < 2:
        raise UserError(
            f"{path} is not three-dimensional: its shape is {shape}; "
            "a volume needs at least two voxels along each of three axes",
            code="not-3d",
        )


def cast_voxels(data: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert to `dtype`, or to the next type that the file formats support."""
    supported = {
        torch.bool: torch.uint8,
        torch.float16: torch.float32,
        torch.bfloat16: torch.float32,
    }
    dtype = supported.get(dtype, dtype)
    if dtype not in (data.dtype, torch.float32, torch.float64) and data.dtype != torch.bool:
        limits = torch.iinfo(dtype)
        if data.is_floating_point():
            data = data.double().round().clamp(limits.min, limits.max)
        elif int(data.min()) < limits.min or int(data.max()) > limits.max:
            raise ValueError(f"values {int(data.min())} to {int(data.max())} do not fit {dtype}")
    return data.to(dtype).contiguous()
