"""The header of a MetaImage, read as text before the file is passed to SimpleITK."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from zoo.io.files import damaged_file_error
from zoo.io.itk.header_text import (
    StoredVolume,
    check_stored,
    data_file_beside,
    header_error,
    header_lines,
    numbers,
    require_volume,
    whole_numbers,
)

# MetaIO reads MET_LONG as four bytes.
_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2",
    "MET_INT": "i4", "MET_UINT": "u4", "MET_LONG": "i4", "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
# The keys whose values MetaIO parses as numbers, with how many of them it reads.
_NUMBERS = {
    **dict.fromkeys(("TransformMatrix", "Rotation", "Orientation"), 9),
    **dict.fromkeys(("Offset", "Position", "Origin", "CenterOfRotation"), 3),
    **dict.fromkeys(("ElementSpacing", "ElementSize", "SequenceID"), 3),
    **dict.fromkeys(("ElementMin", "ElementMax", "ID", "ParentID"), 1),
    **dict.fromkeys(("ElementToIntensityFunctionSlope", "ElementToIntensityFunctionOffset"), 1),
    "Color": 4,
}
_CHANNELS = "ElementNumberOfChannels"
_PACKED = "CompressedDataSize"
_KEY = re.compile(r"[A-Za-z_][^:]*")
_LAST = re.compile(r"ElementDataFile[ \t]*=.*")


def check_metaimage(path: Path) -> StoredVolume:
    """Return what the header of a MetaImage describes, after all checks."""
    lines, length = header_lines(path, _LAST)
    fields = _fields(path, lines)
    require_volume(path, _count(path, fields, "NDims"), _count(path, fields, _CHANNELS))
    for key, count in _NUMBERS.items():
        if key in fields:
            numbers(path, key, fields[key], count)
    _check_spacing(path, fields)
    kind = fields.get("ElementType", "")
    if kind not in _TYPES:
        raise header_error(path, "ElementType", kind, f"save it as one of {', '.join(_TYPES)}")
    compressed = _flag(path, fields, "CompressedData", False)
    if not _flag(path, fields, "BinaryData", True):
        raise header_error(path, "BinaryData", fields["BinaryData"], "save the voxels as binary")
    if fields.get("HeaderSize", "0") != "0":
        fix = "only 0 is allowed: save the image as one file (.mha)"
        raise header_error(path, "HeaderSize", fields["HeaderSize"], fix)
    packed = _count(path, fields, _PACKED) if _PACKED in fields else None
    name = fields["ElementDataFile"]
    local = name.upper() == "LOCAL"
    stored = StoredVolume(
        shape=tuple(whole_numbers(path, "DimSize", fields.get("DimSize", ""), 3)),
        dtype=np.dtype(_byte_order(path, fields) + _TYPES[kind]),
        data_file=path if local else data_file_beside(path, "ElementDataFile", name),
        offset=length if local else 0,
        compressed=compressed,
        packed_bytes=packed if compressed else None,
    )
    check_stored(path, stored)
    return stored


def _fields(path: Path, lines: list[str]) -> dict[str, str]:
    """Return the values of a header by key; all keys must be distinct."""
    fields: dict[str, str] = {}
    for line in lines:
        key, equals, value = (part.strip(" \t") for part in line.partition("="))
        if not equals or _KEY.fullmatch(key) is None:
            raise damaged_file_error(path, f"{line[:60]!r} is not a line of a MetaImage header")
        if key in fields:
            raise header_error(path, "a second", key, "keep one")
        fields[key] = value
    if not fields.get("ElementDataFile"):
        raise damaged_file_error(path, "its header has no ElementDataFile")
    if fields.get("ObjectType", "Image") != "Image":
        raise header_error(path, "ObjectType", fields["ObjectType"], "only Image is allowed")
    return fields


def _count(path: Path, fields: dict[str, str], key: str) -> int:
    default = "1" if key == _CHANNELS else ""
    return whole_numbers(path, key, fields.get(key, default), 1)[0]


def _flag(path: Path, fields: dict[str, str], key: str, default: bool) -> bool:
    value = fields.get(key, str(default))
    if value.lower() not in ("true", "false", "1", "0"):
        raise header_error(path, key, value, "write True or False")
    return value.lower() in ("true", "1")


def _check_spacing(path: Path, fields: dict[str, str]) -> None:
    for key in ("ElementSpacing", "ElementSize"):
        if key in fields and min(numbers(path, key, fields[key], 3)) <= 0:
            raise header_error(path, key, fields[key], "set each spacing above 0 mm")


def _byte_order(path: Path, fields: dict[str, str]) -> str:
    """Return numpy's sign of the byte order; the two keys for it must agree."""
    keys = [k for k in ("BinaryDataByteOrderMSB", "ElementByteOrderMSB") if k in fields]
    flags = {_flag(path, fields, key, False) for key in keys}
    if len(flags) > 1:
        raise header_error(path, keys[1], fields[keys[1]], f"{keys[0]} says otherwise: correct it")
    return ">" if True in flags else "<"
