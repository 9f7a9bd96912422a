"""The header of a safetensors file, checked before anything is loaded, and the sha256 of a file."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.hub.catalogue import load_catalogue
from zoo.io.json_documents import parse_json
from zoo.io.limits import MAX_TENSOR_AXES, MAX_TENSORS, MAX_WEIGHTS_HEADER_BYTES

_ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2,
    "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8,
}  # fmt: skip
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


@dataclass(frozen=True)
class WeightsHeader:
    """The header of a safetensors file: its metadata, and the shape of every tensor by its name."""

    metadata: dict[str, str]
    shapes: dict[str, tuple[int, ...]]

    def width(self) -> int | None:
        """Return the width of the network: from the metadata, else from its first convolution."""
        if re.fullmatch(r"[0-9]{1,6}", self.metadata.get("width", "")):
            return int(self.metadata["width"])
        known = (spec.architecture for spec in load_catalogue().values() if spec.architecture)
        shapes = (self.shapes.get(architecture.first_convolution) for architecture in known)
        return next((shape[0] for shape in shapes if shape), None)

    def size(self) -> tuple[int, int, int] | None:
        """Return the working grid that the weights were trained for, if the metadata names one."""
        match = re.fullmatch(r"\[(\d{1,3}), (\d{1,3}), (\d{1,3})\]", self.metadata.get("size", ""))
        return None if match is None else (int(match[1]), int(match[2]), int(match[3]))

    def recolour(self) -> bool:
        """Return whether the network receives the moving image in the fixed image's contrast."""
        return self.metadata.get("recolour") == "true"


def read_weights_header(path: Path) -> WeightsHeader:
    """Return the header of a safetensors file, checked against the size of the file."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            _check_start(path, start, size)
            text = file.read(length)
        content = parse_json(text.decode("utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(
            f"{path} is not a safetensors file: its header is not JSON ({error})"
        ) from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a safetensors file: its header is not a JSON object")
    metadata = content.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise UserError(f"{path} is damaged: its metadata are not texts; pull it again")
    if len(content) > MAX_TENSORS:
        raise UserError(
            f"{path} has {len(content)} tensors; at most {MAX_TENSORS} are allowed: it does not "
            "hold weights of a model"
        )
    _check_extents(path, content, size - 8 - length)
    shapes = {name: tuple(entry["shape"]) for name, entry in content.items()}
    return WeightsHeader(metadata, shapes)


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _check_start(path: Path, start: bytes, size: int) -> None:
    """Refuse a pickle, a file without content, and a header that is longer than the file."""
    length = int.from_bytes(start, "little")
    if size >= 10 and length <= min(size - 8, MAX_WEIGHTS_HEADER_BYTES):
        return
    if start.startswith(_PICKLE_STARTS):
        raise UserError(
            f"{path} is a pickle, which could run code when it is loaded; weights are read as "
            "safetensors only: convert it with `regzoo pull MODEL --source FILE`"
        )
    raise UserError(
        f"{path} is truncated or is not a safetensors file: it claims a header of {length} bytes "
        f"(at most {MAX_WEIGHTS_HEADER_BYTES} are allowed) and has {size} bytes in total; pull it "
        "again"
    )


def _check_extents(path: Path, entries: dict[str, Any], available: int) -> None:
    """Refuse tensors whose extents overlap, leave gaps, or do not add up to the file's data."""
    extents = []
    for name, entry in entries.items():
        begin, end = _extent(entry)
        if begin < 0:
            raise UserError(
                f"{path} is damaged: its header describes the tensor {name[:80]!r} inconsistently; "
                "pull it again"
            )
        extents.append((begin, end))
    position = 0
    for begin, end in sorted(extents):
        if begin != position:
            raise UserError(
                f"{path} is damaged: its tensors overlap or leave a gap at byte {begin}; pull it "
                "again"
            )
        position = end
    if position != available:
        raise UserError(
            f"{path} is truncated or has something appended: its header describes {position} bytes "
            f"of tensors, and the file holds {available}; pull it again"
        )


def _extent(entry: Any) -> tuple[int, int]:
    """Return the first byte of a tensor and the one after the last; (-1, -1) if they are wrong."""
    try:
        offsets, shape, item = entry["data_offsets"], entry["shape"], _ITEM_BYTES[entry["dtype"]]
        if not isinstance(offsets, list) or not isinstance(shape, list):
            return -1, -1
        begin, end = offsets
        numbers = [begin, end, *shape]
        # The number of axes is checked first: the product of a million numbers takes long.
        if len(entry) == 3 and len(shape) <= MAX_TENSOR_AXES:
            whole = all(type(n) is int and n >= 0 for n in numbers)
            if whole and end - begin == math.prod(shape) * item:
                return begin, end
    except (TypeError, KeyError, ValueError):
        pass
    return -1, -1
