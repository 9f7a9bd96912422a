"""NIfTI-1 and NIfTI-2 single files: the header looked at before anything is decoded.

Readers of NIfTI differ where a header is odd, so that a file which two of them would place
differently is refused here, with the way to mend it.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from nibabel.spatialimages import HeaderDataError

from zoo.errors import UserError
from zoo.geometry import Grid
from zoo.io.atomic import atomic_path
from zoo.io.files import AnyPath, broken, existing_file, head, is_gzip, open_bytes

NibabelHeader = Any
"""A header of nibabel, whose methods have no types."""

VECTOR = 1007
"""NIfTI's intent code of a vector field; the one ITK writes for displacements."""

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
_UNITS = {0: "unknown", 1: "metre", 2: "mm", 3: "micron"}
_TOLERANCE = 1e-3  # mm between two readings of one header
_SHEAR = 1e-4  # cosine between two axes; ITK refuses more
_ROUNDING = 3.6e-7  # of 1 - b^2 - c^2 - d^2 of a quaternion kept in float32
_DEFLATE = 1032  # no gzip stream grows by more than this factor


@dataclass(frozen=True, eq=False)
class Nifti:
    """A NIfTI file whose header makes sense: `shape` and `dtype` as stored, data not yet read."""

    path: Path
    header: NibabelHeader
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]


def is_nifti(path: Path) -> bool:
    """Say whether the file, through gzip or not, begins as NIfTI or its ancestor Analyze does."""
    start = head(path, 4)
    return start in {n.to_bytes(4, order) for n in (348, 540) for order in ("little", "big")}


def open_nifti(path: AnyPath) -> Nifti:
    """Read and check the header: kind of file, axes, type of voxel, size of the file."""
    file = existing_file(path)
    header = _header(file)
    ndim = int(header["dim"][0])
    if not 1 <= ndim <= 7:
        raise UserError(
            f"{file} says it has {ndim} axes; NIfTI allows 1 to 7: the header is broken",
            code="header",
        )
    shape = tuple(int(n) for n in header["dim"][1 : ndim + 1])
    if min(shape) < 1:
        raise UserError(f"{file} says its shape is {shape}; each axis needs at least one voxel")
    dtype = _dtype(file, header)
    _check_size(file, header, shape, dtype)
    return Nifti(file, header, shape, dtype)


def nifti_array(file: Nifti) -> np.ndarray:
    """Return the data in the file's axis order, C-contiguous, native bytes, scaled if it says so.

    Scaled voxels become float32, those of float64 stay so, and those whose digits float32 cannot
    hold are scaled before they are rounded; types that torch lacks become the next larger that it
    has.
    """
    raw = _raw(file).reshape(file.shape, order="F")
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
            f"{file.path} holds the uint64 value {raw.max()}; at most {np.iinfo(np.int64).max} "
            "is allowed: save it as a smaller type"
        )
    widened = {"uint16": "int32", "uint32": "int64", "uint64": "int64"}
    return _c_order(raw, np.dtype(widened.get(name, name)))


def nifti_grid(file: Nifti) -> Grid:
    """Return where the voxels lie, RAS+ mm; refuse a header that programs read differently."""
    affine, faults = placement(file)
    if faults:
        raise faults[0]
    shape = (*file.shape[:3], 1, 1)[:3]
    return Grid((shape[0], shape[1], shape[2]), torch.from_numpy(affine))


def placement(file: Nifti) -> tuple[np.ndarray | None, list[UserError]]:
    """Return the affine that a header means, RAS+ mm, and everything for which it is refused."""
    path, header = file.path, file.header
    shape = (*file.shape[:3], 1, 1)[:3]
    faults: list[UserError] = []

    def sound(check: Callable[..., object], *arguments: object) -> bool:
        try:
            check(path, *arguments)
        except UserError as error:
            faults.append(error)
            return False
        return True

    sound(_check_units, header)
    sform = _sform(path, header)
    qform = _qform(path, header) if sound(_qform, header) else None
    affine = qform if sform is None else sform
    if affine is None:
        if int(header["qform_code"]) <= 0:
            sound(_refuse_unplaced)
    elif sound(_check_affine, affine):
        sound(_check_spacing, header, affine, shape)
        if sform is not None and qform is not None:
            sound(_check_agreement, header, sform, qform, shape)
    return affine, faults


def _refuse_unplaced(path: Path) -> None:
    raise UserError(
        f"{path} has neither sform nor qform (both codes are 0), and programs place it "
        "differently; set one, with nibabel: image.set_sform(image.affine, code=1), save again",
        code="forms-missing",
    )


def write_nifti(path: AnyPath, data: np.ndarray, grid: Grid, *, intent: int = 0) -> None:
    """Write `data` [X, Y, Z, ...] on `grid`: sform and qform with code 1, mm, scale factor none."""
    if not str(path).endswith((".nii", ".nii.gz")):
        raise UserError(f"cannot write {path} as NIfTI: its name must end in .nii or .nii.gz")
    affine = grid.affine.numpy()
    if _shear(affine) > _SHEAR:
        raise UserError(
            f"cannot write {path}: its grid is sheared ({_show(affine)}), which NIfTI's qform and "
            "ITK do not hold; resample to a grid with right angles first"
        )
    kind: Any = nib.Nifti2Image if max(data.shape) > np.iinfo(np.int16).max else nib.Nifti1Image
    image = kind(data, affine, dtype=data.dtype)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    image.header.set_xyzt_units("mm", "sec" if data.ndim > 3 else None)
    if intent:
        image.header.set_intent(intent)
    with atomic_path(path) as temporary:
        image.to_filename(temporary)


def _header(path: Path) -> NibabelHeader:
    """Return the header of a single-file NIfTI, or say what the file is instead."""
    start = head(path, 540)
    if is_gzip(path) and not start:
        raise broken(path, "its gzip stream cannot be read")
    if not is_nifti(path):
        raise UserError(f"{path} is not NIfTI (it begins with {start[:8]!r}); give .nii or .nii.gz")
    if is_gzip(path) != path.name.endswith(".gz"):
        way = ("is compressed with gzip", ".nii.gz") if is_gzip(path) else ("is not gzip", ".nii")
        raise UserError(
            f"{path} {way[0]}, against its name; rename it to end in {way[1]}", code="name-gzip"
        )
    second = 540 in (int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big"))
    if len(start) < (540 if second else 348):
        raise broken(path, f"{len(start)} bytes are not even a header")
    magic = start[4:7] if second else start[344:347]
    if magic not in (b"n+1", b"n+2"):
        kind = "half of a NIfTI pair" if magic in (b"ni1", b"ni2") else "an Analyze header"
        raise UserError(
            f"{path} is {kind} (.hdr/.img); only single files: convert it to .nii.gz",
            code="nifti-pair",
        )
    header: Any = nib.Nifti2Header if second else nib.Nifti1Header
    return header.from_fileobj(io.BytesIO(start), check=False)


def _dtype(path: Path, header: NibabelHeader) -> np.dtype[np.generic]:
    """Return the stored type of a voxel; complex, colour and quad precision are refused."""
    code = int(header["datatype"])
    if code not in _DTYPES:
        raise UserError(
            f"{path} holds voxels of {_OTHER_TYPES.get(code, 'an unknown type')} (code {code}); "
            f"allowed are {', '.join(_DTYPES.values())}: save one real number a voxel",
            code=_TYPE_PROBLEMS.get(code),
        )
    dtype: np.dtype[np.generic] = np.dtype(_DTYPES[code]).newbyteorder(header.endianness)
    return dtype


def _check_size(
    path: Path, header: NibabelHeader, shape: tuple[int, ...], dtype: np.dtype[np.generic]
) -> None:
    """Refuse a header that promises more bytes than the file can hold, before making room."""
    offset, least = float(header["vox_offset"]), int(header["sizeof_hdr"]) + 4
    if not (math.isfinite(offset) and offset >= least):
        raise UserError(
            f"{path} says its data begin at byte {offset:g}; at least {least} is allowed"
        )
    promised = int(offset) + math.prod(shape) * dtype.itemsize
    size = path.stat().st_size
    if promised > size * (_DEFLATE if is_gzip(path) else 1):
        raise broken(path, f"shape {shape} of {dtype.name} takes {promised} bytes, it has {size}")


def _raw(file: Nifti) -> np.ndarray:
    """Return the stored numbers, one axis; of a gzip file the checksum is looked at too."""
    offset, count = int(file.header["vox_offset"]), math.prod(file.shape)
    if not is_gzip(file.path):
        return np.fromfile(file.path, file.dtype, count, offset=offset)
    try:
        with open_bytes(file.path) as stream:
            stream.read(offset)
            data = stream.read(count * file.dtype.itemsize)
            while stream.read(1 << 20):  # gzip looks at its checksum at the end of the stream
                pass
    except (EOFError, OSError, zlib.error) as error:
        raise broken(file.path, error) from error
    if len(data) < count * file.dtype.itemsize:
        raise broken(file.path, f"{len(data)} of {count * file.dtype.itemsize} bytes are there")
    return np.frombuffer(data, file.dtype)


def _c_order(raw: np.ndarray, dtype: np.dtype[np.generic]) -> np.ndarray:
    """Copy to C order and `dtype` at once; slabs of the third axis spare the cache, 2-3 times."""
    data = np.empty(raw.shape, dtype)
    axis = min(2, raw.ndim - 1)
    source, target = np.moveaxis(raw, axis, 0), np.moveaxis(data, axis, 0)
    for start in range(0, len(source), 16):
        target[start : start + 16] = source[start : start + 16]
    return data


def _scaling(file: Nifti) -> tuple[float, float]:
    """Return slope and intercept; a slope of 0 or NaN says that there is none."""
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


def _check_units(path: Path, header: NibabelHeader) -> None:
    """Refuse lengths in anything but mm (or in nothing at all, which means mm)."""
    unit = int(header["xyzt_units"]) & 7
    if unit not in (0, 2):
        raise UserError(
            f"{path} says its unit is {_UNITS.get(unit, f'code {unit}')}, which ITK rescales and "
            "nibabel does not; scale its affine to mm and set xyzt_units to mm",
            code="unit",
        )


def _sform(path: Path, header: NibabelHeader) -> np.ndarray | None:
    """Return the sform, 4x4, or None if its code is 0."""
    if int(header["sform_code"]) <= 0:
        return None
    affine = np.eye(4)
    affine[:3] = [header[row] for row in ("srow_x", "srow_y", "srow_z")]
    return affine


def _qform(path: Path, header: NibabelHeader) -> np.ndarray | None:
    """Return the qform, 4x4, or None if its code is 0."""
    if int(header["qform_code"]) <= 0:
        return None
    qfac = float(header["pixdim"][0])
    try:
        if qfac == 0:  # the standard reads it as 1
            header = header.copy()
            header["pixdim"][0] = 1
        return np.asarray(header.get_qform(), dtype=float)
    except (HeaderDataError, ValueError) as error:
        quaternion = [float(header[f"quatern_{k}"]) for k in "bcd"]
        raise UserError(
            f"{path} has a qform that is no rotation (quaternion {quaternion}, qfac {qfac:g}); "
            "set it again, with nibabel: image.set_qform(image.get_sform(), code=1)",
            code="qform-broken",
        ) from error


def _check_affine(path: Path, affine: np.ndarray) -> None:
    """Refuse an affine that is not finite, has no volume, or whose axes are not at right angles."""
    if not np.isfinite(affine).all():
        raise UserError(
            f"{path} has an affine with NaN or Inf ({_show(affine)}); set it again", code="affine"
        )
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if lengths.min() == 0 or abs(np.linalg.det(affine[:3, :3] / np.maximum(lengths, 1e-30))) < 1e-6:
        raise UserError(
            f"{path} has a singular affine ({_show(affine)}); set it again", code="affine"
        )
    if _shear(affine) > _SHEAR:
        raise UserError(
            f"{path} has a sheared affine (two axes have the cosine {_shear(affine):.2g}; at most "
            f"{_SHEAR:g} is allowed, as in ITK); resample it to a grid with right angles",
            code="sheared",
        )


def _check_spacing(
    path: Path, header: NibabelHeader, affine: np.ndarray, shape: tuple[int, ...]
) -> None:
    """Refuse a spacing that is not positive, or is not that of the affine: ITK takes this one."""
    spacing = np.asarray(header["pixdim"][1:4], dtype=float)
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        raise UserError(
            f"{path} has the spacing (pixdim) {spacing.tolist()}; each must be above 0 mm: set it "
            "again, with nibabel: image.header.set_zooms(...)",
            code="spacing-not-positive",
        )
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if (np.abs(spacing - lengths) * shape).max() > _TOLERANCE:
        raise UserError(
            f"{path} has the spacing {spacing.tolist()} in pixdim and {lengths.tolist()} in its "
            "sform, and programs take one or the other; set both, with nibabel: "
            "image.set_qform(image.affine, code=1)",
            code="spacing-differs",
        )


def _check_agreement(
    path: Path,
    header: NibabelHeader,
    sform: np.ndarray,
    qform: np.ndarray,
    shape: tuple[int, ...],
) -> None:
    """Refuse an sform and a qform whose corners lie apart.

    Beside the tolerance stands what float32 costs a quaternion near half a turn, where its first
    number is the root of a difference: 0.5 mm at worst, for a rotation about a far corner.
    """
    corners = np.array(np.meshgrid(*[[0, n - 1] for n in shape])).reshape(3, -1)
    apart = (sform - qform)[:3, :3] @ corners + (sform - qform)[:3, 3:]
    reach = float(np.linalg.norm(sform[:3, :3] @ corners, axis=0).max())
    first = float(header.get_qform_quaternion()[0])
    rounding = 2 * reach * _ROUNDING / max(2 * first, math.sqrt(_ROUNDING))
    distance = float(np.linalg.norm(apart, axis=0).max())
    if not distance <= _TOLERANCE + rounding:  # NaN is no agreement
        raise UserError(
            f"{path} has an sform and a qform that disagree by {distance:.4g} mm (at most "
            f"{_TOLERANCE:g}): sform {_show(sform)}, qform {_show(qform)}; set both to the right "
            "one, with nibabel: image.set_qform(image.get_sform(), code=1), or the other way round",
            code="forms-differ",
        )


def _shear(affine: np.ndarray) -> float:
    """Return the largest cosine between two axes of an affine: 0 at right angles."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return float(np.abs(axes.T @ axes - np.eye(3)).max())


def _show(affine: np.ndarray) -> str:
    """Return the first three rows of an affine on one line."""
    return "; ".join(" ".join(f"{v:.6g}" for v in row) for row in affine[:3])
