"""Points of VTK's legacy files (.vtk): poly data, such as surfaces and streamlines, and meshes.

Only the block POINTS is read and replaced; lines, polygons and data are copied as they are. 3D
Slicer names the space in the title, SPACE=LPS or SPACE=RAS. Other programs do not record it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from zoo.errors import UserError
from zoo.io.files import damaged_file_error
from zoo.io.limits import MAX_MESH_BYTES, MAX_POINTS, check_file_size
from zoo.io.lps import flip_points
from zoo.io.points.document import PointDocument, no_points_error

_START = re.compile(
    rb"# vtk DataFile Version \d\.\d[^\n]*\n([^\n]{0,256})\n\s*(ASCII|BINARY)\s*\n"
    rb"\s*DATASET\s+(\w{1,40})",
    re.IGNORECASE,
)
_POINTS = re.compile(rb"\n[ \t]*POINTS[ \t]+(\d{1,18})[ \t]+(\w{1,20})[ \t\r]*\n", re.IGNORECASE)
_WITHIN_WORD = re.compile(rb"\S\S")
_TYPES = {b"float": ">f4", b"double": ">f8"}
_ALLOWED = ("POLYDATA", "UNSTRUCTURED_GRID")


def is_vtk(start: bytes) -> bool:
    """Return whether a file that begins with `start` is a legacy file of VTK."""
    return start.startswith(b"# vtk DataFile Version")


def read_vtk(file: Path) -> PointDocument:
    """Read the points of a legacy file."""
    check_file_size(file, MAX_MESH_BYTES, "reduce the mesh")
    content = file.read_bytes()
    start = _START.match(content)
    if start is None or start[3].decode("ascii", "replace").upper() not in _ALLOWED:
        raise UserError(
            f"{file} has no data set of the types {' or '.join(_ALLOWED)}; save it as poly data"
        )
    block = _POINTS.search(content, start.end())
    if block is None or block[2].lower() not in _TYPES:
        raise UserError(f"{file} has no block 'POINTS number float' or 'double'; write it again")
    count, dtype = int(block[1]), np.dtype(_TYPES[block[2].lower()])
    if count == 0:
        raise no_points_error(file)
    if count > MAX_POINTS:
        raise UserError(f"{file} has {count} points; at most {MAX_POINTS} are allowed: reduce it")
    ascii_ = start[2].upper() == b"ASCII"
    if ascii_:
        values, end = _ascii_values(file, content, block.end(), 3 * count)
    else:
        end = block.end() + 3 * count * dtype.itemsize
        if end > len(content):
            raise damaged_file_error(file, f"{count} points do not fit")
        values = np.frombuffer(content, dtype, 3 * count, block.end()).astype(float)
    if not np.isfinite(values).all():
        raise UserError(f"{file} has points that are not finite; remove them", code="not-finite")
    points = torch.from_numpy(values.reshape(count, 3))
    space = recorded_space(file, start[1].decode("utf-8", "replace"))

    def render(new: Tensor) -> bytes:
        new = flip_points(new) if space == "lps" else new
        packed = _as_text(new, dtype) if ascii_ else new.numpy().astype(dtype).tobytes()
        return content[: block.end()] + packed + content[end:]

    world = flip_points(points) if space == "lps" else points
    return PointDocument("vtk", world, space is not None, render)


def recorded_space(file: Path, title: str) -> Literal["ras", "lps"] | None:
    """Return the space that 3D Slicer records in a text such as "SPACE=LPS", or None."""
    unit = re.search(r"UNIT=([^\s;]{1,20})", title)
    if unit is not None and unit[1] != "mm":
        raise UserError(f"{file} has coordinates in {unit[1]}; only mm are allowed")
    found = re.search(r"SPACE=(RAS|LPS)\b", title)
    if found is None:
        return None
    return "lps" if found[1] == "LPS" else "ras"


def _ascii_values(file: Path, content: bytes, start: int, count: int) -> tuple[np.ndarray, int]:
    """Return `count` numbers of a text that begins at `start`, and where they end."""
    # Each number takes at most 64 characters, so that only this part is split into words.
    stop = start + 64 * count
    text = content[start:stop]
    words = text.split(None, count)
    is_cut = len(words) == count and _WITHIN_WORD.match(content, stop - 1) is not None
    if len(words) < count or is_cut:
        raise damaged_file_error(file, f"{count // 3} points do not fit")
    rest = words[count] if len(words) > count else b""
    try:
        values = np.array([float(word) for word in words[:count]])
    except ValueError as error:
        raise UserError(f"{file}: {str(error)[:80]}", code="points-not-numbers") from None
    return values, start + len(text) - len(rest)


def _as_text(points: Tensor, dtype: np.dtype[np.floating]) -> bytes:
    digits = 9 if dtype.itemsize == 4 else 17
    rows = [" ".join(f"{value:.{digits}g}" for value in point) for point in points.tolist()]
    return ("\n".join(rows) + "\n").encode()
