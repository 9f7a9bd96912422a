"""Points of VTK's XML poly data (.vtp), such as surfaces and streamlines.

Only the arrays of points are read, and replaced by arrays of text; everything else is copied as it
is, so that lines, polygons and data stay. 3D Slicer names the space in a field array SPACE. Other
programs do not record it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

import numpy as np
import torch
from torch import Tensor

from zoo.errors import UserError
from zoo.io.files import damaged_file_error
from zoo.io.limits import MAX_DEPTH, MAX_MESH_BYTES, MAX_POINTS, check_file_size
from zoo.io.lps import flip_points
from zoo.io.points.document import PointDocument, no_points_error
from zoo.io.points.vtk import recorded_space
from zoo.io.points.vtk_arrays import Encoding, array_bytes

_TYPES = {"Float32": "f4", "Float64": "f8"}
_MARKER = b"<AppendedData"


@dataclass
class _Array:
    """An array element: its attributes, where it lies in the file, and its text."""

    attributes: dict[str, str]
    points: int
    start: int
    end: int = 0
    text: list[str] = field(default_factory=list)


def is_vtp(start: bytes) -> bool:
    """Return whether a file that begins with `start` is an XML file of VTK."""
    return b"<VTKFile" in start


def read_vtp(file: Path) -> PointDocument:
    """Read the points of all pieces of poly data, in their order."""
    check_file_size(file, MAX_MESH_BYTES, "reduce the mesh")
    content = file.read_bytes()
    marker = content.find(_MARKER)
    head = content if marker < 0 else content[: content.find(b">", marker) + 1]
    elements = _Elements(file, head)
    encoding = _encoding(file, elements)
    appended = b"" if marker < 0 else content[content.find(b"_", len(head)) + 1 :]
    binary = b'encoding="raw"' in head[marker:]

    def values(array: _Array, dtype: np.dtype[np.generic], count: int) -> np.ndarray:
        return _values(file, array, dtype, count, encoding, appended, raw=binary)

    if sum(array.points for array in elements.arrays) > MAX_POINTS:
        raise UserError(f"{file} has more than {MAX_POINTS} points; reduce it")
    found = []
    for array in elements.arrays:
        if array.attributes.get("type") not in _TYPES or _components(array) != "3":
            raise UserError(f"{file}: its points must be Float32 or Float64 in three components")
        dtype = np.dtype(encoding.byte_order + _TYPES[array.attributes["type"]])
        found.append(values(array, dtype, 3 * array.points).astype(float))
    points = torch.from_numpy(np.concatenate([*found, np.empty(0)]).reshape(-1, 3))
    if not len(points):
        raise no_points_error(file)
    if not bool(torch.isfinite(points).all()):
        raise UserError(f"{file} has points that are not finite; remove them", code="not-finite")
    space = None
    if elements.space is not None:
        letters = values(elements.space, np.dtype("u1"), 3).tobytes().decode("ascii", "replace")
        space = recorded_space(file, f"SPACE={letters}")

    def render(new: Tensor) -> bytes:
        return _with_points(content, elements.arrays, flip_points(new) if space == "lps" else new)

    world = flip_points(points) if space == "lps" else points
    return PointDocument("vtp", world, space is not None, render)


class _Elements:
    """The attributes of the file, its arrays of points, and the field array SPACE."""

    def __init__(self, file: Path, head: bytes) -> None:
        self.file = file
        self.root: dict[str, str] = {}
        self.arrays: list[_Array] = []
        self.space: _Array | None = None
        self._open: list[str] = []
        self._piece_points = 0
        self._current: _Array | None = None
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        try:
            self._parser.Parse(head, _MARKER not in head)
        except (expat.ExpatError, LookupError, ValueError) as error:  # unknown encodings, too
            raise damaged_file_error(file, error) from error

    def _refuse_doctype(self, *_: object) -> None:
        raise UserError(f"{self.file} has a document type, which can define entities; remove it")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._open:
            self.root = {"element": name, **attributes}
        self._open.append(name)
        if len(self._open) > MAX_DEPTH:
            raise UserError(f"{self.file} is nested too deeply; write it again")
        if name == "Piece":
            self._piece_points = _whole_number(self.file, attributes.get("NumberOfPoints", ""))
        if self._open[-2:] == ["Points", "DataArray"]:
            start = self._parser.CurrentByteIndex
            self._current = _Array(attributes, self._piece_points, start)
            self.arrays.append(self._current)
        elif "FieldData" in self._open[-2:-1] and attributes.get("Name") == "SPACE":
            self._current = _Array(attributes, 0, self._parser.CurrentByteIndex)
            self.space = self._current

    def _end(self, _name: str) -> None:
        if self._current is not None and self._open[-1] in ("DataArray", "Array"):
            self._current.end = self._parser.CurrentByteIndex
            self._current = None
        self._open.pop()

    def _characters(self, text: str) -> None:
        if self._current is not None and self._open[-1] in ("DataArray", "Array"):
            self._current.text.append(text)


def _encoding(file: Path, elements: _Elements) -> Encoding:
    """Return how the arrays of a file are encoded, from the attributes of its first element."""
    root = elements.root
    if root.get("element") != "VTKFile" or root.get("type") != "PolyData":
        raise UserError(
            f"{file} is a VTK file of the type {root.get('type', '')[:40]!r}; only PolyData (.vtp) "
            "is allowed"
        )
    if root.get("compressor", "vtkZLibDataCompressor") != "vtkZLibDataCompressor":
        raise UserError(
            f"{file} is compressed with {root['compressor'][:40]}; write it with zlib or without "
            "compression"
        )
    return Encoding(
        byte_order=">" if root.get("byte_order") == "BigEndian" else "<",
        header="u8" if root.get("header_type") == "UInt64" else "u4",
        compressed="compressor" in root,
    )


def _values(
    file: Path,
    array: _Array,
    dtype: np.dtype[np.generic],
    count: int,
    encoding: Encoding,
    appended: bytes,
    *,
    raw: bool,
) -> np.ndarray:
    """Return the first `count` numbers of an array."""
    kind = array.attributes.get("format")
    if count == 0:
        return np.empty(0, dtype)
    if kind == "ascii":
        try:
            numbers = [float(word) for word in "".join(array.text).split(None, count)[:count]]
            values = np.array(numbers).astype(dtype)
        except (ValueError, OverflowError) as error:
            raise damaged_file_error(file, error) from error
    elif kind in ("binary", "appended"):
        inline = kind == "binary"
        source = "".join(array.text).strip().encode() if inline else appended
        offset = 0 if inline else _whole_number(file, array.attributes.get("offset", ""))
        most = (3 * MAX_POINTS) * 8
        packed = array_bytes(file, source, offset, encoding, most, base64=inline or not raw)
        values = np.frombuffer(packed, dtype, min(count, len(packed) // dtype.itemsize))
    else:
        raise UserError(f"{file} has an array of the format {str(kind)[:20]!r}; write it again")
    if len(values) != count:
        raise damaged_file_error(file, f"an array has {len(values)} numbers instead of {count}")
    return values


def _components(array: _Array) -> str:
    return array.attributes.get("NumberOfComponents", "3")


def _whole_number(file: Path, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise damaged_file_error(file, f"{text[:20]!r} is not a whole number")
    return int(text)


def _with_points(content: bytes, arrays: list[_Array], points: Tensor) -> bytes:
    """Return a file whose arrays of points are replaced by arrays of text."""
    pieces: list[bytes] = []
    position, first = 0, 0
    for array in arrays:
        rows = points[first : first + array.points].tolist()
        digits = 9 if array.attributes["type"] == "Float32" else 17
        text = "\n".join(" ".join(f"{value:.{digits}g}" for value in row) for row in rows)
        tag = f'<DataArray type="{array.attributes["type"]}" Name="Points" '
        element = f'{tag}NumberOfComponents="3" format="ascii">\n{text}\n</DataArray>'
        pieces += [content[position : array.start], element.encode()]
        # expat ends <DataArray .../> at the byte after it, and other elements at their closing tag.
        closing = content.startswith(b"</DataArray", array.end)
        position = content.index(b">", array.end) + 1 if closing else array.end
        first += array.points
    return b"".join([*pieces, content[position:]])
