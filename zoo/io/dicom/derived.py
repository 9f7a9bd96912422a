"""A warped image as a derived DICOM series in the study and space of the fixed series."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.errors import UserError
from zoo.geometry import Grid
from zoo.io.dicom.location import is_dicom
from zoo.io.dicom.objects import decimal, new_object, new_uid, refer_to_series
from zoo.io.dicom.series import find_series
from zoo.io.files import AnyPath
from zoo.io.lps import grid_to_itk

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_CLASSES = {"CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4"}
_REQUIRED = {
    "CT": {"KVP": "", "AcquisitionNumber": ""},
    "MR": {
        "ScanningSequence": "RM", "SequenceVariant": "NONE", "ScanOptions": "",
        "MRAcquisitionType": "3D", "EchoTime": "", "EchoTrainLength": "",
    },
}  # fmt: skip


def is_series_name(path: AnyPath) -> bool:
    """Return whether an output is a new folder for a DICOM series: its name has no suffix."""
    return not Path(path).suffix


def write_derived_series(
    folder: AnyPath, data: Tensor, grid: Grid, fixed: AnyPath | None, moving: AnyPath
) -> None:
    """Write `data` [X, Y, Z], the moving image on the grid of the fixed one, as a new folder.

    Both images must be DICOM series. The slices have the modality of the moving series and the
    study and frame of reference of the fixed one. Integers are stored as they are if 16 bits can
    hold them; other values are scaled to 16 bits.
    """
    target = Path(folder)
    if fixed is None or not (is_dicom(fixed) and is_dicom(moving)):
        raise UserError(
            f"{target} has no suffix, so it is a folder for a DICOM series, which needs --fixed "
            "and the moving image as DICOM series; for a volume, end the name in .nii.gz"
        )
    if target.exists():
        raise UserError(f"{target} exists already; give the name of a new folder")
    if not target.absolute().parent.is_dir():
        raise UserError(f"cannot write {target}: there is no folder {target.parent}")
    fixed_series, moving_series = find_series(fixed), find_series(moving)
    if float(torch.linalg.det(grid.linear)) < 0:
        flip = torch.eye(4, dtype=torch.float64)
        flip[2, 2], flip[2, 3] = -1, grid.shape[2] - 1
        data, grid = data.flip(2), Grid(grid.shape, grid.affine @ flip)
    origin, spacing, direction = grid_to_itk(grid)
    pixels, slope, intercept = _stored(data.detach().cpu().numpy())
    modality = moving_series.first.modality
    description = f"{moving_series.first.description} registered".strip()[:64]
    series = new_uid(target)
    with TemporaryDirectory(prefix=".regzoo-", dir=target.absolute().parent) as scratch:
        staged = Path(scratch) / target.name
        staged.mkdir()
        sop_class = _CLASSES.get(modality, _SECONDARY_CAPTURE)
        for k in range(grid.shape[2]):
            out = new_object(target, sop_class, modality or "OT", fixed_series)
            out.SeriesInstanceUID, out.InstanceNumber = series, k + 1
            out.SeriesDescription = description
            out.ImageType = ["DERIVED", "SECONDARY", "AXIAL" if modality == "CT" else "OTHER"]
            out.DerivationDescription = "moved onto the grid of another series by registration"
            for keyword, value in _REQUIRED.get(modality, {}).items():
                setattr(out, keyword, value)
            out.ImageOrientationPatient = [decimal(v) for v in direction[:, :2].T.ravel()]
            out.ImagePositionPatient = [
                decimal(v) for v in origin + k * spacing[2] * direction[:, 2]
            ]
            out.PixelSpacing = [decimal(spacing[1]), decimal(spacing[0])]
            out.SliceThickness = decimal(spacing[2])
            _add_pixels(out, pixels[:, :, k].T, slope, intercept)
            refer_to_series(out, [fixed_series, moving_series])
            out.save_as(staged / f"IM{k + 1:05d}.dcm", enforce_file_format=True)
        staged.rename(target)


def _stored(data: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Return 16-bit values, the slope and the intercept with which they are the data."""
    low, high = float(data.min()), float(data.max())
    limits = np.iinfo(np.int16)
    if data.dtype.kind in "iu" and limits.min <= low and high <= limits.max:
        return data.astype("<i2"), 1.0, 0.0
    slope = float(decimal((high - low) / 65535)) or 1.0
    intercept = float(decimal(low))
    stored = np.round((data.astype(np.float64) - intercept) / slope)
    return stored.clip(0, 65535).astype("<u2"), slope, intercept


def _add_pixels(out: Any, pixels: np.ndarray, slope: float, intercept: float) -> None:
    """Add the pixels [rows, columns] of a slice and their description."""
    out.Rows, out.Columns = pixels.shape
    out.SamplesPerPixel, out.PhotometricInterpretation = 1, "MONOCHROME2"
    out.BitsAllocated, out.BitsStored, out.HighBit = 16, 16, 15
    out.PixelRepresentation = int(pixels.dtype.kind == "i")
    out.RescaleSlope, out.RescaleIntercept = decimal(slope), decimal(intercept)
    if out.Modality == "CT":
        out.RescaleType = "HU"
    out.PixelData = pixels.tobytes()
