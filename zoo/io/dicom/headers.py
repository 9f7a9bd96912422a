"""The header of one DICOM file: its series, and the position of each of its frames.

Patient data are not read, except the patient's ID, which tells whether two series show one patient,
and the date of the study, which tells the earlier of them. Neither is ever written.
"""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.io.files import damaged_file_error
from zoo.io.limits import MAX_COORDINATE, MAX_DICOM_FILE_BYTES, MAX_DICOM_FRAMES, check_file_size

_TAGS = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID"),
    "StudyDate",
    *("FrameOfReferenceUID", "Modality", "SeriesDescription", "BodyPartExamined", "Rows"),
    *("Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelSpacing"),
    *("ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept"),
    *("InstanceNumber", "AcquisitionNumber", "TemporalPositionIdentifier", "EchoNumbers"),
    *("DiffusionBValue", "TriggerTime", "SharedFunctionalGroupsSequence"),
    "PerFrameFunctionalGroupsSequence",
)

_ORDER = (
    *("TemporalPositionIdentifier", "TriggerTime", "EchoNumbers", "DiffusionBValue"),
    *("AcquisitionNumber", "InstanceNumber"),
)
"""What distinguishes the slices at one position, the first difference counting."""

_DEFLATED = "1.2.840.10008.1.2.1.99"


@dataclass(frozen=True)
class Frame:
    """One slice: a frame of a file.

    `position` is the centre of its first pixel, `orientation` the direction of its rows and then of
    its columns, LPS mm. `spacing` is the distance between rows, then between columns, mm. None
    where the file does not tell. `order` sorts slices at one position.
    """

    path: Path
    index: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    slope: float
    intercept: float
    order: tuple[float, ...]


@dataclass(frozen=True)
class FileHeader:
    """What the readers need of a DICOM file that holds an image.

    `stored` are bits allocated and bits stored, and whether the pixels are signed.
    """

    path: Path
    sop_class: str
    sop_instance: str
    study: str
    series: str
    frame_of_reference: str
    modality: str
    description: str
    body_part: str
    patient: str = field(repr=False)
    date: str = field(repr=False)
    rows: int
    columns: int
    stored: tuple[int, int, bool]
    samples: int
    photometric: str
    transfer_syntax: str
    frames: tuple[Frame, ...]


def import_pydicom(path: Path) -> Any:
    """Import pydicom, or name the extra that installs it."""
    try:
        return importlib.import_module("pydicom")
    except ImportError as error:
        raise UserError(
            f"{path}: DICOM needs pydicom; install it with pip install 'regzoo[dicom]', or convert "
            "the series to .nii.gz, for example with dcm2niix"
        ) from error


def read_dataset(path: Path, *, pixels: bool = False, tags: tuple[str, ...] | None = None) -> Any:
    """Return the pydicom dataset of a file; a file that is damaged or too large is refused."""
    pydicom = import_pydicom(path)
    check_file_size(path, MAX_DICOM_FILE_BYTES, "export the series as several files")
    with _understood(path):
        meta = pydicom.filereader.read_file_meta_info(path)
        if str(meta.get("TransferSyntaxUID", "")) == _DEFLATED:
            raise UserError(
                f"{path} is compressed as a whole (deflated), which is not read; save it "
                "uncompressed, for example with dcmconv +te",
                code="dicom-deflated",
            )
        wanted = None if tags is None else [*tags]
        return pydicom.dcmread(path, stop_before_pixels=not pixels, specific_tags=wanted)


def read_file_header(path: Path) -> FileHeader | None:
    """Read the header of a file; None if it holds no image, such as contours or a plan."""
    dataset = read_dataset(path, tags=_TAGS)
    with _understood(path):
        if "Rows" not in dataset or "Columns" not in dataset or "BitsAllocated" not in dataset:
            return None
        meta = dataset.file_meta
        return FileHeader(
            path=path,
            sop_class=_text(dataset, "SOPClassUID") or _text(meta, "MediaStorageSOPClassUID"),
            sop_instance=_text(dataset, "SOPInstanceUID")
            or _text(meta, "MediaStorageSOPInstanceUID"),
            study=_text(dataset, "StudyInstanceUID"),
            series=_text(dataset, "SeriesInstanceUID"),
            frame_of_reference=_text(dataset, "FrameOfReferenceUID"),
            modality=_text(dataset, "Modality"),
            description=_text(dataset, "SeriesDescription"),
            body_part=_text(dataset, "BodyPartExamined"),
            patient=_text(dataset, "PatientID"),
            date=_text(dataset, "StudyDate"),
            rows=int(dataset.Rows),
            columns=int(dataset.Columns),
            stored=(
                int(dataset.BitsAllocated),
                int(dataset.get("BitsStored") or dataset.BitsAllocated),
                bool(dataset.get("PixelRepresentation")),
            ),
            samples=int(dataset.get("SamplesPerPixel") or 1),
            photometric=_text(dataset, "PhotometricInterpretation"),
            transfer_syntax=_text(meta, "TransferSyntaxUID"),
            frames=tuple(_frames(path, dataset)),
        )


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    """Turn whatever pydicom raises in this block into the error for a damaged file.

    pydicom raises many kinds of errors, also when a value is accessed, and warns of values that
    deviate from the standard in ways that do not matter here.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UserError:
        raise
    except Exception as error:
        raise damaged_file_error(path, _reason(error)) from error


def _frames(path: Path, dataset: Any) -> Iterator[Frame]:
    """Yield the frames of a file; those of an enhanced object are in its functional groups."""
    count = int(dataset.get("NumberOfFrames") or 1)
    if not 1 <= count <= MAX_DICOM_FRAMES:
        raise UserError(
            f"{path} has {count} frames; 1 to {MAX_DICOM_FRAMES} are allowed: export fewer"
        )
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    if not per_frame:
        yield _frame(path, 0, [dataset], only=count == 1)
        for index in range(1, count):
            yield _frame(path, index, [dataset], only=False)
        return
    if len(per_frame) != count:
        raise damaged_file_error(path, f"it has {count} frames and describes {len(per_frame)}")
    shared = list(dataset.get("SharedFunctionalGroupsSequence") or [])
    shared_groups = [item for group in shared for item in _items(group)]
    for index, group in enumerate(per_frame):
        yield _frame(path, index, [*_items(group), *shared_groups, dataset], only=True)


def _items(group: Any) -> list[Any]:
    """Return the items of the sequences of a functional group."""
    return [item for element in group if element.VR == "SQ" for item in element.value]


def _frame(path: Path, index: int, sources: list[Any], *, only: bool) -> Frame:
    """Return a frame whose values are in the first of `sources` that has them.

    Without `only` the file has several frames and one position, which is that of none of them.
    """

    def found(keyword: str) -> Any:
        return next((s.get(keyword) for s in sources if s.get(keyword) not in (None, "")), None)

    def floats(keyword: str, count: int) -> tuple[float, ...] | None:
        value = found(keyword)
        return None if value is None else _floats(path, keyword, value, count)

    order: tuple[float, ...] = ()
    for keyword in (*_ORDER, "TemporalPositionIndex"):
        value = found(keyword)
        value = value[0] if hasattr(value, "__getitem__") and not isinstance(value, str) else value
        order += (0.0 if value is None else float(value),)
    slope, intercept = floats("RescaleSlope", 1), floats("RescaleIntercept", 1)
    return Frame(
        path=path,
        index=index,
        position=floats("ImagePositionPatient", 3) if only else None,
        orientation=floats("ImageOrientationPatient", 6),
        spacing=floats("PixelSpacing", 2),
        slope=1.0 if slope is None else slope[0],
        intercept=0.0 if intercept is None else intercept[0],
        order=(order[-1], *order[:-1], float(index)),
    )


def _floats(path: Path, keyword: str, value: Any, count: int) -> tuple[float, ...]:
    """Return `count` finite numbers of an attribute."""
    values = tuple(float(v) for v in (value if hasattr(value, "__iter__") else [value]))
    if len(values) != count or not all(
        math.isfinite(v) and abs(v) <= MAX_COORDINATE for v in values
    ):
        raise UserError(
            f"{path} has {keyword} {str(value)[:60]}; {count} finite numbers are needed: correct "
            "the header",
            code="header",
        )
    return values


def _text(dataset: Any, keyword: str) -> str:
    """Return an attribute as a short text without surrounding spaces; empty if it is missing."""
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip()[:200]


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
