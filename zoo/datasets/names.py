"""What a file name says about an image: its case, its time point, its kind and its slot."""

from __future__ import annotations

import re
from pathlib import PurePath

from zoo.datasets.modality import canonical_modality

SUFFIXES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")
"""Suffixes of the volumes that a dataset may list."""

_NUMBERED = re.compile(r"(?P<case>.+_\d{3,5})_(?P<slot>\d{4})$")
_BIDS = re.compile(r"(?P<case>sub-[A-Za-z0-9]+)")


_FIRST = ("pre", "preop", "pretreatment", "baseline", "bl", "before")
_LATER = ("post", "postop", "posttreatment", "followup", "fu", "after")
_COUNTED = ("ses", "session", "visit", "tp", "timepoint", "followup", "fu")
_MODALITY_IN_FRONT = ("ct", "cbct", "mr", "mri", "pet", "t1", "t1w", "t2", "t2w", "flair")


def stem(name: str | PurePath) -> str:
    """Return a file's name without its folder and its suffix, such as A_0001 of a/A_0001.nii.gz.

    A suffix that is not one of `SUFFIXES` counts from the last dot. The UID of a DICOM series, as
    in FOLDER#UID, does not count.
    """
    last = PurePath(name).name
    suffix = next((s for s in SUFFIXES if last.lower().endswith(s)), None)
    return PurePath(last.partition("#")[0]).stem if suffix is None else last[: -len(suffix)]


def case_of(image: str) -> str:
    """Return the case of an image, a text that the images of one patient share.

    This is NAME_CASE of Learn2Reg's NAME_CASE_SLOT, sub-X of a BIDS name, or else the name without
    its time point (pre, followup, ses-02) and its kind (ct, t1w). If nothing else is left of the
    name, it is the folder.
    """
    name = stem(image)
    match = _NUMBERED.match(name) or _BIDS.match(name)
    if match:
        return match["case"]
    words = _words(name)
    left = [word for word in words if _time_rank(word) is None]
    kind = kind_of(image)
    if kind and kind in left:
        left.remove(kind)
    if len(left) == len(words):
        return name
    return "_".join(left) or PurePath(image).parent.as_posix()


def time_of(image: str) -> tuple[int, str]:
    """Return the time point in an image's name as (rank, word); equal for images without one.

    The earlier of two images of one patient has the smaller value. Labels of sessions without an
    order of their own, such as ses-a, are in alphabetical order.
    """
    name = stem(image)
    for word in _words(name):
        if (rank := _time_rank(word)) is not None:
            return rank, word.lower()
    return 0, ""


def kind_of(image: str) -> str:
    """Return the word of a name that tells the modality, such as T1w of sub-01_T1w; may be empty.

    It is the last word of the name, or the first one.
    """
    words = [word for word in _words(stem(image)) if _time_rank(word) is None]
    if not words:
        return ""
    if canonical_modality(words[-1]):
        return words[-1]
    if len(words) > 1 and words[0].lower() in _MODALITY_IN_FRONT:
        return words[0]
    return ""


def _words(name: str) -> list[str]:
    """Return the parts of a name; "follow-up" and "ses-02" are one part each."""
    joined = re.sub(r"follow[-_ ]up", "followup", name, flags=re.IGNORECASE)
    counted = "|".join(_COUNTED)
    joined = re.sub(rf"(?i)(?<![A-Za-z])({counted})[-_](?=\d)", r"\1~", joined)
    joined = re.sub(r"(?i)(?<![A-Za-z])ses-(?=[A-Za-z])", "ses~", joined)
    return [word for word in re.split(r"[_\-. ]", joined) if word]


def _time_rank(word: str) -> int | None:
    """Return the rank of a word that names a time point; None for any other word."""
    plain = word.lower()
    if plain in _FIRST:
        return 0
    if plain in _LATER:
        return 1
    match = re.fullmatch(rf"({'|'.join(_COUNTED)})~?(\w+)", plain)
    if match is None:
        return None
    counted = re.fullmatch(r"[a-z]{0,2}(\d+)", match[2])
    if counted:
        return int(counted[1]) + plain.startswith(("followup", "fu"))
    if "~" not in plain:
        return None
    return _time_rank(match[2]) or 0


def slot_of(image: str) -> str | None:
    """Return the modality slot in an image's name NAME_CASE_SLOT; None if the name has none."""
    match = _NUMBERED.match(stem(image))
    return str(int(match["slot"])) if match else None
