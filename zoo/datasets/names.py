"""What a file name says about an image: its case and its slot, as in Learn2Reg or BIDS."""

from __future__ import annotations

import re
from pathlib import PurePath

SUFFIXES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")
"""Suffixes of the volumes that a dataset may list."""

_NUMBERED = re.compile(r"(?P<case>.+_\d{3,5})_(?P<slot>\d{4})$")
_BIDS = re.compile(r"(?P<case>sub-[A-Za-z0-9]+)")


def stem(name: str | PurePath) -> str:
    """Return a file's name without its folder and its suffix, such as A_0001 of a/A_0001.nii.gz.

    A suffix that is not one of `SUFFIXES` counts from the last dot. The UID of a DICOM series, as
    in FOLDER#UID, does not count.
    """
    last = PurePath(name).name
    suffix = next((s for s in SUFFIXES if last.lower().endswith(s)), None)
    return PurePath(last.partition("#")[0]).stem if suffix is None else last[: -len(suffix)]


def case_of(image: str) -> str:
    """Return the case of an image.

    This is NAME_CASE of Learn2Reg's NAME_CASE_SLOT, sub-X of a BIDS name, or else the whole name.
    """
    name = stem(image)
    match = _NUMBERED.match(name) or _BIDS.match(name)
    return match["case"] if match else name


def slot_of(image: str) -> str | None:
    """Return the modality slot in an image's name NAME_CASE_SLOT; None if the name has none."""
    match = _NUMBERED.match(stem(image))
    return str(int(match["slot"])) if match else None
