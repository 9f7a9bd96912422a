"""The pixels of DICOM slices as one array, in the units of the rescale slope and intercept."""

from __future__ import annotations

import importlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from zoo.errors import UserError
from zoo.io.dicom.headers import FileHeader, Frame, import_pydicom, read_dataset
from zoo.io.dicom.series import Series
from zoo.io.dicom.stack import Stack
from zoo.io.files import damaged_file_error

_NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
"""Transfer syntaxes of uncompressed pixels."""

_SLAB = 16
"""The number of slices that are transposed at once."""

_COPIED = (
    *("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("SamplesPerPixel", "PhotometricInterpretation"),
)


def voxel_type(series: Series) -> np.dtype[Any]:
    """Return the type of the rescaled voxels: the smallest signed integer type, or float32."""
    bits, signed = max(file.stored[1] for file in series.files), series.first.stored[2]
    for frame in series.frames:
        if frame.slope != 1 or frame.intercept != round(frame.intercept):
            return np.dtype(np.float32)
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    offsets = [frame.intercept for frame in series.frames]
    for name in ("int16", "int32", "int64"):
        limits = np.iinfo(name)
        if limits.min <= low + min(offsets) and high + max(offsets) <= limits.max:
            return np.dtype(name)
    return np.dtype(np.float32)


def read_pixels(stack: Stack) -> np.ndarray:
    """Return the voxels [columns, rows, slices], C-contiguous: stored * slope + intercept."""
    data = np.empty(stack.grid.shape, voxel_type(stack.series))
    headers = {file.path: file for file in stack.series.files}
    columns, rows, count = data.shape
    slab = np.empty((_SLAB, rows, columns), data.dtype)
    opened: tuple[Path, Any] | None = None
    for start in range(0, count, _SLAB):
        frames = stack.frames[start : start + _SLAB]
        for k, frame in enumerate(frames):
            if opened is None or opened[0] != frame.path:
                opened = frame.path, read_dataset(frame.path, pixels=True)
            slab[k] = _rescaled(frame, opened[1], headers[frame.path], data.dtype)
        # Whole slabs are transposed, because writing single slices misses the cache at every voxel.
        data[:, :, start : start + len(frames)] = slab[: len(frames)].transpose(2, 1, 0)
    return data


def _rescaled(frame: Frame, dataset: Any, header: FileHeader, dtype: np.dtype[Any]) -> np.ndarray:
    """Return the values of a frame [rows, columns]."""
    read = _native_frame if header.transfer_syntax in _NATIVE else _decoded_frame
    pixels = read(frame.path, dataset, frame.index, len(header.frames))
    stored = _checked(frame.path, pixels, header)
    if dtype.kind == "f":
        return stored.astype(np.float64) * frame.slope + frame.intercept
    wide = np.int32 if header.stored[0] <= 16 else np.int64
    return stored.astype(wide) + round(frame.intercept)


def _checked(path: Path, stored: np.ndarray, header: FileHeader) -> np.ndarray:
    """Return stored pixels of the announced size, without bits above the stored ones."""
    if stored.shape != (header.rows, header.columns):
        raise damaged_file_error(path, f"its pixels have the shape {stored.shape}")
    allocated, bits, signed = header.stored
    if bits == allocated:
        return stored
    values: np.ndarray = stored.astype(np.int32 if allocated <= 16 else np.int64)
    values &= (1 << bits) - 1
    return np.where(values >> (bits - 1), values - (1 << bits), values) if signed else values


def _native_frame(path: Path, dataset: Any, index: int, count: int) -> np.ndarray:
    """Return a frame of uncompressed pixels [rows, columns] as stored."""
    raw = dataset.get("PixelData")
    allocated = int(dataset.BitsAllocated)
    kind = "i" if int(dataset.get("PixelRepresentation") or 0) else "u"
    big = str(dataset.file_meta.TransferSyntaxUID) == _NATIVE[2]
    dtype = np.dtype(f"{'>' if big else '<'}{kind}{allocated // 8}")
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    pixels = rows * columns
    if raw is None or len(raw) < count * pixels * dtype.itemsize:
        found = 0 if raw is None else len(raw)
        raise damaged_file_error(
            path, f"its pixels take {found} bytes, not {count * pixels * dtype.itemsize}"
        )
    if big and allocated == 8 and dataset["PixelData"].VR == "OW":
        place = np.arange(index * pixels, (index + 1) * pixels) ^ 1  # two pixels are one word
        padded = np.frombuffer(raw + bytes(len(raw) % 2), dtype)
        return np.take(padded, place).reshape(rows, columns)
    frame = np.frombuffer(raw, dtype, pixels, offset=index * pixels * dtype.itemsize)
    return frame.reshape(rows, columns)


def _decoded_frame(path: Path, dataset: Any, index: int, count: int) -> np.ndarray:
    """Return a compressed frame [rows, columns] as stored, decoded by GDCM.

    GDCM gets a file that holds the frame and the description of its pixels and nothing else, so
    that neither its own rescaling nor the rest of an untrusted header matters.
    """
    pydicom = import_pydicom(path)
    sitk = _sitk(path)
    try:
        encaps = importlib.import_module("pydicom.encaps")
        plain = pydicom.Dataset()
        plain.file_meta = pydicom.dataset.FileMetaDataset()
        plain.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
        plain.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"  # Secondary Capture
        plain.SOPInstanceUID = "1.2.3"
        for keyword in _COPIED:
            if keyword in dataset:
                setattr(plain, keyword, dataset.get(keyword))
        frame = encaps.get_frame(dataset.PixelData, index, number_of_frames=count)
        plain.PixelData = encaps.encapsulate([frame])
        plain["PixelData"].VR = "OB"
        with TemporaryDirectory(prefix="regzoo-") as folder:
            file = str(Path(folder) / "frame.dcm")
            plain.save_as(file, enforce_file_format=True)
            image = sitk.ReadImage(file, imageIO="GDCMImageIO")
        pixels: np.ndarray = sitk.GetArrayFromImage(image).reshape(image.GetSize()[1::-1])
        return pixels
    except UserError:
        raise
    except Exception as error:  # of pydicom, or a RuntimeError of ITK
        reason = str(error).strip().splitlines()[-1][:200] if str(error).strip() else error
        raise damaged_file_error(path, f"its compressed pixels: {reason}") from error


def _sitk(path: Path) -> Any:
    """Import SimpleITK, or name the extra that installs it."""
    try:
        return importlib.import_module("SimpleITK")
    except ImportError as error:
        raise UserError(
            f"{path}: compressed DICOM needs SimpleITK; install it with pip install "
            "'regzoo[dicom]', or decompress the files, for example with dcmdjpeg"
        ) from error
