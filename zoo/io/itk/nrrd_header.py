"""The header of an NRRD file, read as text before the file is passed to SimpleITK."""

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

_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int"), "i2"),
    **dict.fromkeys(("int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int"), "u2"),
    **dict.fromkeys(("uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long"), "i8"),
    **dict.fromkeys(("signed long long int", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int"), "u8"),
    **dict.fromkeys(("uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}
_PACKED = {"raw": False, "gzip": True, "gz": True}
# The fields whose value is one text; the others are checked below.
_TEXTS = (
    *("content", "space", "spaceunits", "units", "labels", "kinds", "centers", "centerings"),
    *("endian", "number", "sampleunits", "measurementframe", "thicknesses"),
    *("axismins", "axismaxs", "min", "max", "oldmin", "oldmax", "blocksize"),
)
_CHECKED = (
    *("type", "dimension", "spacedimension", "sizes", "spacings", "spacedirections", "spaceorigin"),
    *("encoding", "lineskip", "byteskip", "datafile"),
)
_FIELD = re.compile(r"[A-Za-z][A-Za-z ]*")
_KEY_VALUE = re.compile(r"[^:]+:=.*")
_LAST = re.compile("")


def check_nrrd(path: Path) -> StoredVolume:
    """Return what the header of an NRRD file describes, after all checks."""
    lines, length = header_lines(path, _LAST)
    fields = _fields(path, lines)
    for key in ("type", "dimension", "sizes", "encoding"):
        if key not in fields:
            raise damaged_file_error(path, f"its header has no {key}")
    require_volume(path, whole_numbers(path, "dimension", fields["dimension"], 1)[0])
    kind, encoding = fields["type"].lower(), fields["encoding"].lower()
    if kind not in _TYPES:
        raise header_error(path, "type", kind, "save it as one of int8 to int64, float or double")
    if encoding not in _PACKED:
        raise header_error(path, "encoding", encoding, "save it with the encoding raw or gzip")
    for key in ("lineskip", "byteskip"):
        if fields.get(key, "0") != "0":
            raise header_error(path, key, fields[key], "only 0 is allowed: save the image again")
    _check_position(path, fields)
    attached = "datafile" not in fields
    stored = StoredVolume(
        shape=tuple(whole_numbers(path, "sizes", fields["sizes"], 3)),
        dtype=np.dtype(_byte_order(path, fields, kind) + _TYPES[kind]),
        data_file=path if attached else data_file_beside(path, "data file", fields["datafile"]),
        offset=length if attached else 0,
        compressed=_PACKED[encoding],
    )
    check_stored(path, stored)
    return stored


def _fields(path: Path, lines: list[str]) -> dict[str, str]:
    """Return the values of a header by field, in lower case without spaces, all distinct."""
    if not re.fullmatch(r"NRRD000[1-5]", lines[0]):
        raise header_error(path, "the first line", lines[0], "write NRRD0001 to NRRD0005")
    fields: dict[str, str] = {}
    for line in lines[1:]:
        if not line or line.startswith("#") or _KEY_VALUE.fullmatch(line):
            continue
        name, colon, value = line.partition(":")
        if not colon or _FIELD.fullmatch(name) is None:
            raise damaged_file_error(path, f"{line[:60]!r} is not a line of an NRRD header")
        key = name.lower().replace(" ", "")
        if key not in _TEXTS and key not in _CHECKED:
            raise header_error(path, "the field", name, "NRRD has no such field: remove it")
        if key in fields:
            raise header_error(path, "a second", name, "keep one")
        fields[key] = value.strip(" ")
    return fields


def _byte_order(path: Path, fields: dict[str, str], kind: str) -> str:
    """Return numpy's sign of the byte order, which types of more than one byte need."""
    endian = fields.get("endian", "little" if _TYPES[kind].endswith("1") else "").lower()
    if endian not in ("little", "big"):
        raise header_error(path, "endian", endian, "write little or big")
    return ">" if endian == "big" else "<"


def _check_position(path: Path, fields: dict[str, str]) -> None:
    """Refuse spacings, directions and an origin that are not finite numbers."""
    if "spacings" in fields and min(numbers(path, "spacings", fields["spacings"], 3)) <= 0:
        raise header_error(path, "spacings", fields["spacings"], "set each one above 0 mm")
    for key, count in (("spacedirections", 3), ("spaceorigin", 1)):
        if key in fields:
            vectors = re.findall(r"\(([^()]*)\)", fields[key])
            if len(vectors) != count or re.sub(r"\([^()]*\)", "", fields[key]).strip():
                raise header_error(path, key, fields[key], f"write {count} vectors as (x,y,z)")
            for vector in vectors:
                numbers(path, key, vector.replace(",", " "), 3)
