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
@pytest.mark.parametrize("length", [19, 21])
@pytest.mark.parametrize("number", [0, 1])
def test_a_block_of_another_length_is_refused(text, length, number):
    blocks = [bytes(20), bytes(20)]
    blocks[number] = bytes(length)
    with pytest.raises(UserError, match=f"block {number} has {length} bytes instead of 20"):
        read(*packed(blocks, 20, 0), text=text)


def test_more_bytes_than_the_points_need_are_refused_before_they_are_decompressed():
    array = packed([bytes(100)] * 3, 100, 0)
    assert len(read(*array, text=False, most=300)) == 300
    with pytest.raises(UserError, match="an array of 3 blocks of 100 bytes"):
        read(*array, text=False, most=199)
