"""Reading and writing of NIfTI-1 and NIfTI-2 single files.

The header is checked before any voxel is decoded. `zoo.io.nifti_affine` checks the position of the
voxels.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch

from zoo.errors import UserError
from zoo.geometry import Grid
from zoo.io.atomic import atomic_path
from zoo.io.files import (
    AnyPath,
    damaged_file_error,
    existing_file,
    first_bytes,
    is_gzip,
    open_decompressed,
    open_gzip_of_floats,
    read_gzip_bytes,
)
from zoo.io.limits import (
    MAX_DEFLATE_RATIO,
    MAX_EXTENSIONS,
    MAX_NIFTI_OFFSET,
    MAX_TRAILING_BYTES,
    check_voxel_count,
)
from zoo.io.nifti_affine import NibabelHeader, affine_and_errors, check_right_angles

VECTOR_INTENT = 1007
"""The intent code of a vector field, which ITK writes for displacement fields."""

_DTYPES = {
    2: "uint8", 256: "int8", 512: "uint16", 4: "int16", 768: "uint32", 8: "int32",
    1280: "uint64", 1024: "int64", 16: "float32", 64: "float64",
}  # fmt: skip
_OTHER_TYPES = {
    32: "complex64", 1792: "complex128", 2048: "complex256", 1536: "float128",
    128: "RGB", 2304: "RGBA",
}  # fmt: skip
_TYPE_PROBLEMS = {
    **dict.fromkeys((32, 1792, 2048), "voxels-complex"),
    **dict.fromkeys((128, 2304), "voxels-colour"),
}


@dataclass(frozen=True, eq=False)
class NiftiFile:
    """A NIfTI file with a checked header; `shape` and `dtype` as stored. The data are not read.

    Of a 4-D file, `first` is the number of voxels before those of `shape`, `rest` the number after.
    """

    path: Path
    header: NibabelHeader
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    first: int = 0
    rest: int = 0

    def volume(self, k: int) -> NiftiFile:
        """Return the 3-D volume `k`, counted from 0, of a 4-D file."""
        size, number = math.prod(self.shape[:3]), self.shape[3]
        return replace(self, shape=self.shape[:3], first=k * size, rest=(number - 1 - k) * size)


def is_nifti(path: Path) -> bool:
    """Return whether the file, compressed or not, begins like NIfTI or its ancestor Analyze."""
    start = first_bytes(path, 4)
    return start in {n.to_bytes(4, order) for n in (348, 540) for order in ("little", "big")}


def open_nifti(path: AnyPath) -> NiftiFile:
    """Read the header and check the kind of file, the axes, the voxel type and the file size."""
    file = existing_file(path)
    header = _read_header(file)
    ndim = int(header["dim"][0])
    if not 1 <= ndim <= 7:
        raise UserError(
            f"{file} says that it has {ndim} axes; NIfTI allows 1 to 7: create the file again",
            code="header",
        )
    shape = tuple(int(n) for n in header["dim"][1 : ndim + 1])
    if min(shape) < 1:
        raise UserError(
            f"{file} says that its shape is {shape}; each axis needs at least one voxel"
        )
    dtype = _voxel_type(file, header)
    _check_size(file, header, shape, dtype)
    check_voxel_count(file, shape, math.prod(shape[:3]))
    _check_extensions(file, header)
    return NiftiFile(file, header, shape, dtype)


def read_nifti_array(file: NiftiFile) -> np.ndarray:
    """Return the voxels in the axis order of the file, C-contiguous, in native byte order.

    If the header has a scale, integers become float32 and float64 stays float64; integers that
    float32 cannot represent are scaled in float64 and then rounded. Types that torch lacks are
    widened.
    """
    raw = _stored_voxels(file).reshape(file.shape, order="F")
    slope, intercept = _scaling(file)
    if (slope, intercept) != (1.0, 0.0):
        exact = np.can_cast(raw.dtype, np.float32)
        data = _c_order(raw, np.dtype(np.float32 if exact else np.float64))
        data *= slope
        data += intercept
        return data if exact or raw.dtype.kind == "f" else data.astype(np.float32)
    name = file.dtype.name
    if name == "uint64" and int(raw.max()) > np.iinfo(np.int64).max:
        raise UserError(
            f"{file.path} has the uint64 value {raw.max()}; at most {np.iinfo(np.int64).max} "
            "is allowed: save it as a smaller type"
        )
    widened = {"uint16": "int32", "uint32": "int64", "uint64": "int64"}
    return _c_order(raw, np.dtype(widened.get(name, name)))


def nifti_grid(file: NiftiFile) -> Grid:
    """Return the grid of a file; a header that programs interpret differently is refused."""
    affine, errors = affine_and_errors(file.path, file.header, file.shape)
    if errors or affine is None:
        raise errors[0]
    shape = (*file.shape[:3], 1, 1)[:3]
    return Grid((shape[0], shape[1], shape[2]), torch.from_numpy(affine))


def write_nifti(
    path: AnyPath, data: np.ndarray, grid: Grid, *, intent: int = 0, seconds: float | None = None
) -> None:
    """Write `data` [X, Y, Z, ...] on `grid`, in mm and unscaled, with sform and qform of code 1.

    `seconds` is the time between the volumes of a 4-D image.
    """
    if not str(path).endswith((".nii", ".nii.gz")):
        raise UserError(f"cannot write {path} as NIfTI: its name must end in .nii or .nii.gz")
    affine = grid.affine.numpy()
    check_right_angles(Path(path), affine)
    image_class: Any = (
        nib.Nifti2Image if max(data.shape) > np.iinfo(np.int16).max else nib.Nifti1Image
    )
    image = image_class(data, affine, dtype=data.dtype)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    image.header.set_xyzt_units("mm", "sec" if data.ndim > 3 else None)
    if seconds is not None:
        image.header["pixdim"][4] = seconds
    if intent:
        image.header.set_intent(intent)
    with atomic_path(path) as temporary:
        if data.ndim > 3 and data.dtype.kind == "f" and temporary.suffix == ".gz":
            with open_gzip_of_floats(temporary) as stream:
                image.to_stream(stream)
        else:
            image.to_filename(temporary)


def _read_header(path: Path) -> NibabelHeader:
    """Return the header of a single-file NIfTI; the error says what any other file is."""
    start = first_bytes(path, 540)
    if is_gzip(path) and not start:
        raise damaged_file_error(path, "its gzip stream cannot be read")
    if not is_nifti(path):
        raise UserError(
            f"{path} is not NIfTI (it begins with {start[:8]!r}); give a .nii or .nii.gz file"
        )
    if is_gzip(path) != path.name.endswith(".gz"):
        content = "compressed with gzip" if is_gzip(path) else "not compressed"
        suffix = ".nii.gz" if is_gzip(path) else ".nii"
        raise UserError(
            f"{path} is {content}, contrary to its name; rename it to end in {suffix}",
            code="name-gzip",
        )
    is_nifti2 = 540 in (int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big"))
    if len(start) < (540 if is_nifti2 else 348):
        raise damaged_file_error(path, f"its {len(start)} bytes are less than a header")
    magic = start[4:7] if is_nifti2 else start[344:347]
    if magic not in (b"n+1", b"n+2"):
        kind = "half of a NIfTI pair" if magic in (b"ni1", b"ni2") else "an Analyze header"
        raise UserError(
            f"{path} is {kind} (.hdr/.img); only single files are allowed: convert it to .nii.gz",
            code="nifti-pair",
        )
    if is_nifti2 and start[8:12] not in (b"\r\n\x1a\n", bytes(4)):
        raise damaged_file_error(path, "its line ends were converted, as if it were text")
    header: Any = nib.Nifti2Header if is_nifti2 else nib.Nifti1Header
    return header(start[: header.sizeof_hdr], check=False)  # extensions are not decoded


def _voxel_type(path: Path, header: NibabelHeader) -> np.dtype[np.generic]:
    """Return the stored type of the voxels; complex, colour and float128 are refused."""
    code = int(header["datatype"])
    if code not in _DTYPES:
        raise UserError(
            f"{path} has voxels of {_OTHER_TYPES.get(code, 'an unknown type')} (code {code}); "
            f"allowed are {', '.join(_DTYPES.values())}: save one real number per voxel",
            code=_TYPE_PROBLEMS.get(code),
        )
    dtype: np.dtype[np.generic] = np.dtype(_DTYPES[code]).newbyteorder(header.endianness)
    return dtype


def _check_size(
    path: Path, header: NibabelHeader, shape: tuple[int, ...], dtype: np.dtype[np.generic]
) -> None:
    """Refuse a header that announces more data than the file can contain, before allocating."""
    offset, least = float(header["vox_offset"]), int(header["sizeof_hdr"]) + 4
    if not (math.isfinite(offset) and offset >= least):
        raise UserError(
            f"{path} says that its data begin at byte {offset:g}; the least is {least}: correct "
            "vox_offset"
        )
    if offset > MAX_NIFTI_OFFSET:
        raise UserError(
            f"{path} says that its data begin at byte {offset:g}; at most {MAX_NIFTI_OFFSET} is "
            "allowed: remove its extensions"
        )
    expected = int(offset) + math.prod(shape) * dtype.itemsize
    size = path.stat().st_size
    if expected > size * (MAX_DEFLATE_RATIO if is_gzip(path) else 1):
        raise damaged_file_error(
            path, f"shape {shape} of {dtype.name} needs {expected} bytes, the file has {size}"
        )


def _check_extensions(path: Path, header: NibabelHeader) -> None:
    """Refuse header extensions whose lengths do not fit before the voxels; none is decoded."""
    position, end = int(header["sizeof_hdr"]) + 4, int(header["vox_offset"])
    if end == position:
        return
    try:
        with open_decompressed(path) as stream:
            content = stream.read(end)
    except (EOFError, OSError, zlib.error) as error:
        raise damaged_file_error(path, error) from error
    if len(content) < end:
        raise damaged_file_error(path, f"it ends before its voxels, which begin at byte {end}")
    if not content[position - 4]:
        return  # the header says that there are no extensions
    count = 0
    while end - position >= 16:
        size, _ = struct.unpack_from(f"{header.endianness}2i", content, position)
        count += 1
        if not 8 <= size <= end - position or count > MAX_EXTENSIONS:
            raise UserError(
                f"{path} has a broken header extension at byte {position} (its length is {size}, "
                f"and the voxels begin at byte {end}); remove its extensions, with nibabel: "
                "image.header.extensions.clear()",
                code="extension",
            )
        position += size


def _stored_voxels(file: NiftiFile) -> np.ndarray:
    """Return the stored numbers, one axis; the checksum of a gzip file is verified."""
    count, item = math.prod(file.shape), file.dtype.itemsize
    offset = int(file.header["vox_offset"]) + file.first * item
    if not is_gzip(file.path):
        return np.fromfile(file.path, file.dtype, count, offset=offset)
    after = MAX_TRAILING_BYTES + file.rest * item
    data = read_gzip_bytes(file.path, offset, count * item, after)
    return np.frombuffer(data, file.dtype)


def _c_order(raw: np.ndarray, dtype: np.dtype[np.generic]) -> np.ndarray:
    """Copy to C order and `dtype` in one step; slabs fit the cache and are 2-3 times as fast."""
    data = np.empty(raw.shape, dtype)
    axis = min(2, raw.ndim - 1)
    source, target = np.moveaxis(raw, axis, 0), np.moveaxis(data, axis, 0)
    for start in range(0, len(source), 16):
        target[start : start + 16] = source[start : start + 16]
    return data


def _scaling(file: NiftiFile) -> tuple[float, float]:
    """Return slope and intercept of the voxels; a slope of 0 or NaN means that there is none."""
    slope, intercept = (float(file.header[k]) for k in ("scl_slope", "scl_inter"))
    if math.isnan(slope) or slope == 0:
        return 1.0, 0.0
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise UserError(
            f"{file.path} scales its voxels by {slope:g} and adds {intercept:g}; "
            "both must be finite: correct scl_slope and scl_inter",
            code="scaling",
        )
    return slope, intercept
