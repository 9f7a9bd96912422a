"""What the name of a file says: its case and its slot, in the words of Learn2Reg and of BIDS."""

from __future__ import annotations

import re

SUFFIXES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")
_NUMBERED = re.compile(r"(?P<case>.+_\d{3,5})_(?P<slot>\d{4})$")
_BIDS = re.compile(r"(?P<case>sub-[A-Za-z0-9]+)")


def stem(name: str) -> str:
    """Return a file's name without folders and suffixes."""
    last = name.rpartition("/")[2]
    suffix = next((s for s in SUFFIXES if last.lower().endswith(s)), "")
    return last[: len(last) - len(suffix)] if suffix else last.partition(".")[0]


def case_of(image: str) -> str:
    """Return the case that an image shows: NAME_CASE of NAME_CASE_SLOT, sub-X of BIDS, the name."""
    name = stem(image)
    match = _NUMBERED.match(name) or _BIDS.match(name)
    return match["case"] if match else name


def slot_of(image: str) -> str | None:
    """Return the modality slot that NAME_CASE_SLOT gives an image; None if its name has none."""
    match = _NUMBERED.match(stem(image))
    return str(int(match["slot"])) if match else None
