"""The blocks of binary arrays in VTK's XML files are as long as their header says."""

import base64
import itertools
import struct
import zlib
from pathlib import Path

import pytest

from zoo import UserError
from zoo.io.points.vtk_arrays import Encoding, array_bytes

FILE = Path("a.vtp")
NUMBERS = bytes(range(40))


def packed(blocks, block_size, last, *, byte_order="<", compress=zlib.compress):
    """Return blocks as VTK writes them: their number, size and last size, then each size."""
    parts = [compress(block) for block in blocks]
    sizes = [len(parts), block_size, last, *map(len, parts)]
    return struct.pack(f"{byte_order}{len(sizes)}I", *sizes), b"".join(parts)


def read(header, body, *, text, byte_order="<", most=1000):
    """Read the array from behind seven bytes, as raw bytes or as base64."""
    encoding = Encoding(byte_order, "u4", compressed=True)
    parts = [base64.b64encode(part) for part in (header, body)] if text else [header, body]
    return array_bytes(FILE, b"1234567" + b"".join(parts), 7, encoding, most, base64=text)


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize(
    ("cuts", "last"), [((0, 40), 0), ((0, 20, 40), 0), ((0, 16, 32, 40), 8), ((0, 30, 40), 10)]
)
def test_blocks_are_joined(text, byte_order, cuts, last):
    blocks = [NUMBERS[a:b] for a, b in itertools.pairwise(cuts)]
    array = packed(blocks, cuts[1], last, byte_order=byte_order)
    assert read(*array, text=text, byte_order=byte_order) == NUMBERS


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("size", [20, 21])
@pytest.mark.parametrize("step", [-1, 1])
@pytest.mark.parametrize("number", [0, 1])
def test_a_block_of_another_length_is_refused(text, size, step, number):
    blocks = [bytes(size), bytes(size)]
    blocks[number] = bytes(size + step)
    pattern = f"block {number} has {size + step} bytes instead of {size}"
    with pytest.raises(UserError, match=pattern):
        read(*packed(blocks, size, 0), text=text)


@pytest.mark.parametrize("text", [False, True])
def test_an_array_of_no_blocks_is_empty(text):
    assert read(*packed([], 20, 0), text=text) == b""


@pytest.mark.parametrize(
    ("blocks", "pattern"),
    [((1 << 20) + 1, "an array of 1048577 blocks of 0 bytes"), (1 << 20, "ends after the file")],
)
def test_more_than_a_million_blocks_are_refused(blocks, pattern):
    with pytest.raises(UserError, match=pattern):
        read(struct.pack("<4I", blocks, 0, 0, 0), b"", text=False)


@pytest.mark.parametrize("text", [False, True])
def test_damaged_blocks_are_refused(text):
    header, body = packed([NUMBERS], 40, 0)
    damaged = bytes([body[0] ^ 255]) + body[1:]
    for cut in (damaged, body[:-9]):
        with pytest.raises(UserError, match=r"a\.vtp is truncated or damaged"):
            read(header, cut, text=text)


def test_a_size_that_no_memory_has_is_refused():
    body = zlib.compress(NUMBERS)
    header = struct.pack("<4Q", 1, 40, (1 << 64) - 2, len(body))
    encoding = Encoding("<", "u8", compressed=True)
    with pytest.raises(UserError, match=r"a\.vtp is truncated or damaged"):
        array_bytes(FILE, header + body, 0, encoding, 1000, base64=False)


def plain(count, numbers, *, text, byte_order="<", header="I", most=1000):
    """Read an array that is not compressed from behind seven bytes."""
    encoding = Encoding(byte_order, "u4" if header == "I" else "u8", compressed=False)
    array = struct.pack(byte_order + header, count) + numbers
    array = base64.b64encode(array) if text else array
    return array_bytes(FILE, b"1234567" + array, 7, encoding, most, base64=text)


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize(("byte_order", "header"), [("<", "I"), ("<", "Q"), (">", "I"), (">", "Q")])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 39, 40])
def test_arrays_that_are_not_compressed_begin_with_their_size(text, byte_order, header, count):
    read = plain(count, NUMBERS, text=text, byte_order=byte_order, header=header)
    assert read == NUMBERS[:count]


@pytest.mark.parametrize("text", [False, True])
def test_arrays_that_are_not_compressed_may_be_as_large_as_their_points(text):
    assert plain(40, NUMBERS, text=text, most=40) == NUMBERS
    with pytest.raises(UserError, match="an array of 40 bytes"):
        plain(40, NUMBERS, text=text, most=39)
    with pytest.raises(UserError, match="an array ends after the file"):
        plain(43, NUMBERS, text=text)


def test_characters_that_are_not_base64_are_refused():
    array = base64.b64encode(struct.pack("<I", 9) + bytes(9))
    encoding = Encoding("<", "u4", compressed=False)
    assert array_bytes(FILE, array, 0, encoding, 1000, base64=True) == bytes(9)
    for damaged in (array[:-8] + b"****" + array[-4:], array[:8] + b"\n***" + array[12:]):
        with pytest.raises(UserError, match=r"a\.vtp is truncated or damaged"):
            array_bytes(FILE, damaged, 0, encoding, 1000, base64=True)


def test_more_bytes_than_the_points_need_are_refused_before_they_are_decompressed():
    array = packed([bytes(300)] * 3, 300, 0)
    # The last block may be shorter than the others, so that one block more than needed is allowed.
    for most in (600, 900):
        assert len(read(*array, text=False, most=most)) == 900
    with pytest.raises(UserError, match="an array of 3 blocks of 300 bytes"):
        read(*array, text=False, most=599)
