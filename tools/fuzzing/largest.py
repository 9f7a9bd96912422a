"""The most expensive texts that are within the limits, and the time and memory to read them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from fuzzing.readers import parse_yaml_file
from fuzzing.samples import metaimage, nrrd
from zoo.errors import UserError
from zoo.hub.weights_header import read_weights_header
from zoo.io.csv_rows import read_csv_rows
from zoo.io.json_documents import read_json_object
from zoo.io.limits import (
    MAX_CSV_BYTES,
    MAX_CSV_ROWS,
    MAX_JSON_BYTES,
    MAX_TEXT_HEADER_BYTES,
    MAX_TEXT_HEADER_LINES,
    MAX_TEXT_TRANSFORM_BYTES,
    MAX_WEIGHTS_HEADER_BYTES,
    MAX_YAML_BYTES,
)
from zoo.io.points import read_points
from zoo.io.transforms import read_transform
from zoo.io.volume import read_volume


class Large(NamedTuple):
    """A large file: its name, its content and its reader."""

    name: str
    content: Callable[[], bytes]
    read: Callable[[Path], object]


def repeated(start: bytes, item: bytes, end: bytes, size: int) -> bytes:
    """Return start, item, ..., item, end with as many items as `size` bytes can hold."""
    return start + item * ((size - len(start) - len(end)) // len(item)) + end


def json_of(item: bytes) -> Large:
    """Return a JSON document whose list repeats `item`."""
    end = item.rstrip(b",") + b"]}"
    return Large("a.json", lambda: repeated(b'{"a":[', item, end, MAX_JSON_BYTES), read_json_object)


def yaml_of(item: bytes) -> Large:
    """Return a YAML list that repeats `item`."""
    return Large("a.yaml", lambda: repeated(b"[", item, b"]", MAX_YAML_BYTES), parse_yaml_file)


def weights_of() -> Large:
    """Return a safetensors file with a large header."""

    def content() -> bytes:
        header = repeated(b'{"a":[', b"[],", b"[]]}", MAX_WEIGHTS_HEADER_BYTES)
        return len(header).to_bytes(8, "little") + header

    return Large("a.safetensors", content, read_weights_header)


def tfm_of(item: bytes) -> Large:
    """Return a text transform that repeats `item` after its first line."""
    start = b"#Insight Transform File V1.0\n"
    if item != b"#\n":
        start += b"Transform: AffineTransform_double_3_3\nParameters: "
    return Large(
        "a.tfm", lambda: repeated(start, item, b"\n", MAX_TEXT_TRANSFORM_BYTES), read_transform
    )


def header_of(name: str, sample: bytes, last: bytes, line: bytes) -> Large:
    """Return an image whose header has as many numbered lines as it may have before `last`."""

    def content() -> bytes:
        fitting = (MAX_TEXT_HEADER_BYTES - len(sample)) // (len(line) + 6)
        count = min(fitting, MAX_TEXT_HEADER_LINES - sample.count(b"\n"))
        lines = b"".join(line % number for number in range(count))
        return sample.replace(last, lines + last, 1)

    return Large(name, content, read_volume)


LARGEST: dict[str, Large] = {
    "JSON, empty lists": json_of(b"[],"),
    "JSON, lists of one number": json_of(b"[1],"),
    "JSON, mappings": json_of(b'{"a":1},'),
    "JSON, numbers": json_of(b"1.5,"),
    "YAML, letters": yaml_of(b"a,"),
    "YAML, empty lists": yaml_of(b"[],"),
    "points": Large(
        "a.csv",
        lambda: b"123456.789012,-123456.789012,12.345678901234\n" * MAX_CSV_ROWS,
        lambda path: read_points(path, "ras"),
    ),
    "table of many cells": Large(
        "a.csv", lambda: (b"ab," * 999 + b"\n") * (MAX_CSV_BYTES // 2998), read_csv_rows
    ),
    "ITK text, numbers": tfm_of(b"1 "),
    "ITK text, lines": tfm_of(b"#\n"),
    "header of weights": weights_of(),
    "MetaImage header, keys": header_of("a.mha", metaimage(), b"ElementDataFile", b"K%06d=\n"),
    "MetaImage header, spaces": header_of(
        "a.mha", metaimage(), b"ElementDataFile", b"K%06d = x" + b" " * 4000 + b"y\n"
    ),
    "NRRD header, keys": header_of("a.nrrd", nrrd(), b"key:=", b"K%06d:=\n"),
}


def measure() -> None:
    """Print the size, the processor time and the additional memory of each large file."""
    with tempfile.TemporaryDirectory() as folder:
        for name, large in LARGEST.items():
            path = Path(folder) / large.name
            path.write_bytes(large.content())
            Path("/proc/self/clear_refs").write_text("5")  # reset the peak of memory
            before, start = _status("VmRSS"), time.process_time()
            with suppress(UserError):
                large.read(path)
            seconds = time.process_time() - start
            size, memory = path.stat().st_size / (1 << 20), (_status("VmHWM") - before) / 1024
            print(f"{name:<26} {size:6.1f} MiB {seconds:6.2f} s {memory:6.0f} MiB", flush=True)


def _status(key: str) -> int:
    """Return a value of this process in KiB, from /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))
