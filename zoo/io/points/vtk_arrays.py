"""The binary arrays of VTK's XML files: a header of sizes, then blocks that may be compressed."""

from __future__ import annotations

import binascii
import zlib
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.io.files import damaged_file_error

_MAX_BLOCKS = 1 << 20


@dataclass(frozen=True)
class Encoding:
    """How the arrays of a file are encoded: the byte order, the type of sizes, and zlib or not."""

    byte_order: str
    header: str
    compressed: bool


def array_bytes(
    file: Path, source: bytes, offset: int, encoding: Encoding, most: int, *, base64: bool
) -> bytes:
    """Return the numbers of the array that begins at `offset` of `source`, as bytes.

    More than `most` bytes are refused before anything is decompressed.
    """
    take = _take_base64 if base64 else _take_raw
    size = np.dtype(encoding.byte_order + encoding.header)
    try:
        if not encoding.compressed:
            count = int(np.frombuffer(take(source, offset, size.itemsize)[0], size)[0])
            if count > most:
                raise ValueError(f"an array of {count} bytes")
            return take(source, offset, size.itemsize + count)[0][size.itemsize :]
        return _decompressed(source, offset, size, most, take)
    except (ValueError, IndexError, binascii.Error, zlib.error, OverflowError) as error:
        raise damaged_file_error(file, str(error)[:200]) from error


_Take = Callable[[bytes, int, int], tuple[bytes, int]]


def _decompressed(
    source: bytes, offset: int, size: np.dtype[np.unsignedinteger], most: int, take: _Take
) -> bytes:
    """Return the bytes of an array in blocks: their number, their size, the size of a last shorter
    block, then the compressed size of each.
    """
    start = np.frombuffer(take(source, offset, 3 * size.itemsize)[0], size)
    blocks, block_size, last = (int(n) for n in start)
    whole = blocks * block_size
    if blocks > _MAX_BLOCKS or whole > most + block_size:
        raise ValueError(f"an array of {blocks} blocks of {block_size} bytes")
    if blocks == 0:
        return b""
    header, offset = take(source, offset, (3 + blocks) * size.itemsize)
    sizes = [int(n) for n in np.frombuffer(header, size)[3:]]
    packed, _ = take(source, offset, sum(sizes))
    parts, position = [], 0
    for number, length in enumerate(sizes):
        expected = last if number == blocks - 1 and last else block_size
        part = zlib.decompressobj().decompress(packed[position : position + length], expected + 1)
        if len(part) != expected:
            raise ValueError(f"block {number} has {len(part)} bytes instead of {expected}")
        parts.append(part)
        position += length
    return b"".join(parts)


def _take_raw(source: bytes, offset: int, count: int) -> tuple[bytes, int]:
    """Return `count` bytes, and where the next ones begin."""
    if offset + count > len(source):
        raise ValueError("an array ends after the file")
    return source[offset : offset + count], offset + count


def _take_base64(source: bytes, offset: int, count: int) -> tuple[bytes, int]:
    """Return `count` bytes of a base64 text, and where the next text begins."""
    end = offset + -(-count // 3) * 4
    if end > len(source):
        raise ValueError("an array ends after the file")
    return b64decode(source[offset:end], validate=True)[:count], end
