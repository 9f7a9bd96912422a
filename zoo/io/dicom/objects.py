"""What the DICOM objects that are written have in common.

Patient data are not copied: the patient's name, ID, birth date and sex are present and empty, as
DICOM allows. UIDs of study, frame of reference and images are copied, because a registration
without them refers to nothing.
"""

from __future__ import annotations

import datetime
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.io.dicom.headers import FileHeader, import_pydicom
from zoo.io.dicom.series import Series

_EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"),
    *("ReferringPhysicianName", "StudyID", "AccessionNumber", "PositionReferenceIndicator"),
)


def new_object(path: Path, sop_class: str, modality: str, fixed: Series) -> Any:
    """Return a pydicom dataset in the study and frame of reference of the fixed series."""
    pydicom = import_pydicom(path)
    version = importlib.import_module("zoo").__version__
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = new_uid(path)
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    out = pydicom.dataset.FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    out.SOPClassUID, out.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    for keyword in _EMPTY:
        setattr(out, keyword, "")
    out.StudyInstanceUID = fixed.first.study or new_uid(path)
    out.SeriesInstanceUID = new_uid(path)
    out.Modality = modality
    out.SeriesNumber, out.InstanceNumber = 1, 1
    out.FrameOfReferenceUID = frame_of_reference(fixed)
    out.Manufacturer, out.ManufacturerModelName = "regzoo", "regzoo"
    out.DeviceSerialNumber, out.SoftwareVersions = "1", version
    now = datetime.datetime.now()
    out.ContentDate, out.ContentTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    return out


def new_uid(path: Path) -> str:
    """Return a new UID below the root of pydicom."""
    import_pydicom(path)
    return str(importlib.import_module("pydicom.uid").generate_uid())


def frame_of_reference(series: Series) -> str:
    """Return the frame of reference of a series, which a registration refers to."""
    uid = series.first.frame_of_reference
    if not uid:
        raise UserError(
            f"{series.path} has no Frame of Reference UID, to which a DICOM registration refers; "
            "export the series again without removing it"
        )
    return uid


def image_references(files: Sequence[FileHeader]) -> list[Any]:
    """Return one reference for each file that still has a SOP Instance UID."""
    dataset = importlib.import_module("pydicom.dataset").Dataset
    out = []
    for file in files:
        if file.sop_instance:
            item = dataset()
            item.ReferencedSOPClassUID = file.sop_class
            item.ReferencedSOPInstanceUID = file.sop_instance
            out.append(item)
    return out


def refer_to_series(target: Any, all_series: Sequence[Series]) -> None:
    """Add the references to whole series: those of the own study, and those of other studies."""
    dataset = importlib.import_module("pydicom.dataset").Dataset
    own, others = [], []
    for series in all_series:
        item = dataset()
        item.SeriesInstanceUID = series.uid
        item.ReferencedInstanceSequence = image_references(series.files)
        if not series.uid or not item.ReferencedInstanceSequence:
            continue
        if series.first.study in ("", target.StudyInstanceUID):
            own.append(item)
        else:
            study = dataset()
            study.StudyInstanceUID = series.first.study
            study.ReferencedSeriesSequence = [item]
            others.append(study)
    if own:
        target.ReferencedSeriesSequence = own
    if others:
        target.StudiesContainingOtherReferencedInstancesSequence = others


def decimal(value: float) -> str:
    """Return a number as a decimal string of at most 16 characters, as DICOM demands."""
    digits = 15
    while len(text := f"{value:.{digits}g}") > 16:
        digits -= 1
    return text
