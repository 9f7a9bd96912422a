"""The lines, values and voxels of text headers, each exactly at and beyond its limits."""

import gzip
import re
import zlib

import numpy as np
import pytest

from zoo.errors import UserError
from zoo.io.itk.header_text import (
    StoredVolume,
    check_stored,
    data_file_beside,
    header_error,
    header_lines,
    numbers,
    read_voxels,
    require_volume,
    whole_numbers,
)

LAST = re.compile("END")


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "m"
    folder.mkdir()
    return folder / "a.mha"


@pytest.mark.parametrize(
    ("content", "lines", "length"),
    [
        (b"one\r\ntwo \nEND\nvoxels\nEND\n", ["one", "two ", "END"], 14),
        (b"END\nvoxels", ["END"], 4),
        (b"one\ntwo", ["one", "two"], 7),
        (b"one\n\nEND of it\n", ["one", "", "END of it"], 15),
        (b"a\tb ~\n", ["a\tb ~"], 6),
        ("\N{LATIN SMALL LETTER E WITH ACUTE}\n".encode(), ["\xe9"], 3),
        (b"\xe9\x80\n", ["\xe9\x80"], 3),
    ],
)
def test_the_lines_of_a_header_end_with_the_last_one(path, content, lines, length):
    path.write_bytes(content)
    assert header_lines(path, LAST) == (lines, length)


@pytest.mark.parametrize(
    ("content", "allowed"),
    [
        (b"x" * 4095 + b"\n", True),
        (b"x" * 4096 + b"\n", False),
        (b"x" * 4096, True),
        (b"x" * 4097, False),
        ((b"x" * 4095 + b"\n") * 256, True),
        ((b"x" * 4095 + b"\n") * 256 + b"\n", False),
        (b"\n" * 10_000, True),
        (b"\n" * 10_001, False),
    ],
    ids=[
        *("a line of 4096 bytes", "a line of 4097 bytes", "4096 at the end", "4097 at the end"),
        *("1 MiB", "1 MiB and a byte", "10000 lines", "10001 lines"),
    ],
)
def test_a_header_has_limits(path, content, allowed):
    path.write_bytes(content)
    if allowed:
        lines, length = header_lines(path, LAST)
        assert length == len(content)
        assert lines == content.decode().splitlines()
    else:
        pattern = "more than 1048576 bytes or 10000 lines, or a line of more than 4096 bytes"
        with pytest.raises(UserError, match=pattern) as refusal:
            header_lines(path, LAST)
        assert refusal.value.code == "header"


@pytest.mark.parametrize("code", [0, 1, 8, 11, 27, 31, 127])
def test_control_characters_are_refused(path, code):
    path.write_bytes(b"Comment = a" + bytes([code]) + b"b\n")
    with pytest.raises(UserError, match="control characters"):
        header_lines(path, LAST)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 -2 +3", [1, -2, 3]),
        (" 1.5  .5\t-7. ", [1.5, 0.5, -7]),
        ("1e3 -2E-1 3e+0", [1000, -0.2, 3]),
        ("1e9 -1e9 0", [1e9, -1e9, 0]),
    ],
)
def test_finite_numbers_are_read(path, text, expected):
    assert numbers(path, "Offset", text, 3) == expected


@pytest.mark.parametrize("text", ["1 2", "1 2 3 4", "", "1 2 nan", "inf 2 3", "1 0x1 2", "1_0 2 3"])
def test_other_words_and_other_counts_of_numbers_are_refused(path, text):
    with pytest.raises(UserError, match=rf"has Offset {text!r} .*write 3 finite numbers"):
        numbers(path, "Offset", text, 3)


@pytest.mark.parametrize("word", ["1000000001", "-1000000001", "1e10", "-1e300"])
def test_numbers_beyond_the_largest_coordinate_are_refused(path, word):
    with pytest.raises(UserError, match=r"write numbers of at most 1e\+09"):
        numbers(path, "Offset", f"0 {word} 1", 3)


@pytest.mark.parametrize("text", ["1 +20 300", f"1 20 {'9' * 18}"])
def test_whole_numbers_are_read(path, text):
    assert whole_numbers(path, "DimSize", text, 3) == [int(word) for word in text.split()]


@pytest.mark.parametrize(
    "text",
    ["1 2", "1 2 3 4", "", "1 2 0", "0 2 3", "1 -2 3", "1 2 3.0", f"1 2 {'9' * 19}", "x 1 2"],
)
def test_other_whole_numbers_are_refused(path, text):
    with pytest.raises(UserError, match=rf"DimSize '{text}' .*write 3 whole numbers above 0"):
        whole_numbers(path, "DimSize", text, 3)


@pytest.mark.parametrize(("axes", "components"), [(2, 1), (4, 1), (3, 0), (3, 2), (2, 3)])
def test_a_volume_has_three_axes_and_one_number_per_voxel(path, axes, components):
    require_volume(path, 3)
    require_volume(path, 3, 1)
    pattern = f"is {axes}-dimensional with {components}-component voxels"
    with pytest.raises(UserError, match=pattern) as refusal:
        require_volume(path, axes, components)
    assert refusal.value.code == "header"


def test_long_values_are_shortened_in_errors(path):
    assert f"has key '{'x' * 60}' in" in str(header_error(path, "key", "x" * 60, "fix"))
    error = header_error(path, "key", "x" * 57 + "yyyy", "fix it")
    assert str(error) == f"{path} has key '{'x' * 57}...' in its header; fix it"
    assert error.code == "header"


@pytest.mark.parametrize(
    "name",
    [
        *("../a.raw", "/a.raw", "b/a.raw", "b\\a.raw", "a%d.raw", "-", "-a.raw", "~a", ".a.raw"),
        *("LIST", "LIST 2", "SKIPFILE", "SKIPFILE 3 4", "a\u200b.raw"),
    ],
    ids=ascii,
)
def test_only_plain_names_of_files_are_allowed(path, name):
    if "/" not in name:
        (path.parent / name).write_bytes(b"voxels")
    with pytest.raises(UserError, match="name one file in the same folder") as refusal:
        data_file_beside(path, "ElementDataFile", name)
    assert f"{path} has ElementDataFile {name!r}" in str(refusal.value)


@pytest.mark.parametrize("name", ["a.raw", "my voxels.raw", "LISTED", "\xe9.zraw"])
def test_a_file_in_the_folder_is_found(path, name):
    (path.parent / name).write_bytes(b"voxels")
    assert data_file_beside(path, "data file", name) == path.parent / name
    (path.parent / "link").symlink_to(path.parent / name)
    assert data_file_beside(path, "data file", "link") == path.parent / "link"


def test_the_error_of_a_missing_file_names_the_header_and_the_file(path):
    with pytest.raises(UserError) as refusal:
        data_file_beside(path, "data file", "none.raw")
    assert f"{path} cannot be read: there is no file {path.parent}/none.raw" in str(refusal.value)


@pytest.mark.parametrize("folder", ["a", "z", "m/below"])
def test_a_link_to_another_folder_is_refused(path, tmp_path, folder):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "secret").write_bytes(b"voxels")
    (path.parent / "link").symlink_to(tmp_path / folder / "secret")
    with pytest.raises(UserError, match="leads out of the folder"):
        data_file_beside(path, "data file", "link")


def volume(path, *, size, offset=0, shape=(4, 3, 2), **more):
    """Return a description of int16 voxels in a sparse file of `size` bytes."""
    with path.open("wb") as stream:
        stream.truncate(size)
    return StoredVolume(shape, np.dtype("<i2"), path, offset, more.pop("compressed", False), **more)


def test_the_bytes_of_all_voxels_are_counted(path):
    assert volume(path, size=1, shape=(5, 3, 7)).needed_bytes == 210


@pytest.mark.parametrize(
    ("stored", "pattern"),
    [
        ({"size": 48}, None),
        ({"size": 47}, "describes 48 bytes, but there are 47 bytes"),
        ({"size": 148, "offset": 100}, None),
        ({"size": 147, "offset": 100}, "describes 48 bytes, but there are 47 bytes"),
        ({"size": 10, "offset": 5, "shape": (5 * 516, 1, 1), "compressed": True}, None),
        (
            {"size": 10, "offset": 5, "shape": (5 * 516 + 1, 1, 1), "compressed": True},
            "describes 5162 bytes, but there are 5 compressed bytes",
        ),
        ({"size": 110, "offset": 100, "compressed": True, "packed_bytes": 10}, None),
        (
            {"size": 110, "offset": 100, "compressed": True, "packed_bytes": 11},
            "announces 11 bytes, but there are 10",
        ),
        ({"size": 1 << 31, "shape": (1024, 1024, 1024)}, None),
        ({"size": 1 << 32, "shape": (1024, 1024, 1025)}, "at most 1073741824 voxels"),
    ],
)
def test_a_file_holds_the_voxels_that_its_header_describes(path, stored, pattern):
    if pattern is None:
        check_stored(path, volume(path, **stored))
    else:
        with pytest.raises(UserError, match=pattern):
            check_stored(path, volume(path, **stored))


VOXELS = np.random.default_rng(0).integers(0, 100, (5, 6, 7))
BYTES = VOXELS.astype("<i2").tobytes("F")


def read(path, content, *, kind="<i2", compressed=True, packed_bytes=None):
    """Return the voxels of a file with eleven bytes before them."""
    path.write_bytes(b"header line" + content)
    stored = StoredVolume((5, 6, 7), np.dtype(kind), path, 11, compressed, packed_bytes)
    return read_voxels(path, stored)


@pytest.mark.parametrize("kind", ["u1", "i1", "<i2", ">i2", "<u4", ">i8", "<f4", ">f8"])
@pytest.mark.parametrize("pack", [None, zlib.compress, gzip.compress])
def test_voxels_are_read_in_native_byte_order(path, kind, pack):
    content = VOXELS.astype(kind).tobytes("F")
    packed = pack(content) if pack else content + b"more"
    values = read(path, packed, kind=kind, compressed=pack is not None)
    assert np.array_equal(values, VOXELS)
    assert values.dtype == np.dtype(kind).newbyteorder("=")


def test_packed_voxels_may_be_followed_by_other_bytes(path):
    packed = zlib.compress(BYTES)
    for length in (None, len(packed)):
        assert np.array_equal(read(path, packed + b"more", packed_bytes=length), VOXELS)


@pytest.mark.parametrize(
    ("content", "how", "pattern"),
    [
        (BYTES[:-1], {"compressed": False}, "voxels take 419 bytes, not 420"),
        (zlib.compress(BYTES[:-1]), {}, "voxels take 419 bytes, not 420"),
        (zlib.compress(BYTES + b"more"), {}, "voxels take 421 bytes, not 420"),
        (zlib.compress(BYTES)[:-1], {}, "compressed voxels end too early"),
        (zlib.compress(BYTES)[:99], {}, "compressed voxels end too early"),
        (gzip.compress(BYTES)[:-1], {}, "compressed voxels end too early"),
        (zlib.compress(BYTES), {"packed_bytes": 99}, "compressed voxels end too early"),
        (zlib.compress(BYTES)[:-1] + b"x", {}, "truncated or damaged"),
        (zlib.compress(BYTES)[2:], {}, "truncated or damaged"),
    ],
)
def test_voxels_of_another_length_and_damaged_ones_are_refused(path, content, how, pattern):
    with pytest.raises(UserError, match=pattern):
        read(path, content, **how)
