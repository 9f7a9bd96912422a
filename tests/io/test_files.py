import gzip
import os
import struct
import zlib

import pytest

from zoo import UserError
from zoo.io.files import (
    damaged_file_error,
    existing_file,
    first_bytes,
    is_gzip,
    open_decompressed,
    open_gzip_of_floats,
    read_gzip_bytes,
)

GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


def with_wrong_checksum(content):
    packed = bytearray(gzip.compress(content))
    packed[-8] ^= 1
    return bytes(packed)


DAMAGED = {
    "no method": b"\x1f\x8b but not gzip",
    "the end is missing": gzip.compress(b"0123456789")[:-12],
    "the header is cut": GZIP_HEADER[:5],
    "no deflate stream": GZIP_HEADER + b"\xff" * 20,
}


def test_first_bytes_decompresses_gzip(tmp_path):
    (tmp_path / "plain").write_bytes(b"0123456789")
    (tmp_path / "packed").write_bytes(gzip.compress(b"0123456789"))
    for name in ("plain", "packed"):
        assert first_bytes(tmp_path / name, 4) == b"0123"
        assert first_bytes(tmp_path / name, 99) == b"0123456789"
        assert is_gzip(tmp_path / name) == (name == "packed")
        with open_decompressed(tmp_path / name) as stream:
            assert stream.read() == b"0123456789"


@pytest.mark.parametrize("start", [b"", b"\x1f", b"\x1f\x8c", b"\x8b\x1f", b"x\x1f\x8b"])
def test_other_first_bytes_are_not_gzip(tmp_path, start):
    (tmp_path / "a").write_bytes(start)
    assert not is_gzip(tmp_path / "a")
    assert first_bytes(tmp_path / "a", 2) == start[:2]


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_first_bytes_of_a_damaged_gzip_are_empty(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert first_bytes(tmp_path / "a", 40) == b""


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file_is_refused(tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "a").chmod(0)
    with pytest.raises(UserError, match="no permission"):
        existing_file(tmp_path / "a")


def test_a_file_exists_if_it_has_at_least_one_byte(tmp_path):
    (tmp_path / "one").write_text("x")
    assert existing_file(str(tmp_path / "one")) == tmp_path / "one"
    (tmp_path / "none").touch()
    for name, pattern in (("", "is a folder; give"), ("none", r"is empty \(0 bytes\); copy")):
        with pytest.raises(UserError, match=pattern):
            existing_file(tmp_path / name)


def test_broken_link_is_a_missing_file(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    with pytest.raises(UserError, match="there is no file"):
        existing_file(tmp_path / "a")


def test_long_name_and_circular_link_are_refused(tmp_path):
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for name in ("x" * 300, "circle"):
        with pytest.raises(UserError, match=r"cannot read|there is no file"):
            existing_file(tmp_path / name)
    with pytest.raises(UserError, match=r"cannot read .*x \(File name too long\); check the name"):
        existing_file(tmp_path / ("x" * 300))


def test_files_of_floats_are_gzip_and_equal_for_equal_contents(tmp_path):
    content = struct.pack("<2000f", *(k / 7 for k in range(2000))) + bytes(100_000)
    for name in ("a.gz", "b.gz"):
        with open_gzip_of_floats(tmp_path / name) as stream:
            stream.write(content[:5000])
            stream.write(content[5000:])
    packed = (tmp_path / "a.gz").read_bytes()
    assert packed == (tmp_path / "b.gz").read_bytes()
    assert gzip.decompress(packed) == content
    assert packed[:3] == GZIP_HEADER[:3]
    assert packed[3:8] == bytes(5)  # neither a name nor a time: RFC 1952
    assert len(packed) < 9000  # the 8000 bytes of the numbers and a run of zeros
    assert zlib.crc32(content) == int.from_bytes(packed[-8:-4], "little")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(("offset", "count"), [(0, 10), (0, 1), (3, 4), (9, 1), (10, 0)])
def test_a_part_of_a_file_is_read(tmp_path, pack, offset, count):
    (tmp_path / "a").write_bytes(pack(b"0123456789"))
    part = read_gzip_bytes(tmp_path / "a", offset, count, 10 - offset - count)
    assert part == b"0123456789"[offset : offset + count]


def test_the_number_of_bytes_after_a_part_is_limited(tmp_path):
    after = 5 << 19  # more than two blocks of reading
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"x" + bytes(after), 1))
    assert read_gzip_bytes(tmp_path / "a.gz", 0, 1, after) == b"x"
    pattern = rf"a\.gz is truncated or damaged \(more than {after - 1} bytes follow its voxels\)"
    with pytest.raises(UserError, match=pattern):
        read_gzip_bytes(tmp_path / "a.gz", 0, 1, after - 1)


@pytest.mark.parametrize(("offset", "count", "there"), [(0, 11, 10), (7, 4, 3), (20, 1, 0)])
def test_a_part_that_is_not_there_is_refused(tmp_path, offset, count, there):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"0123456789"))
    with pytest.raises(UserError, match=rf"damaged \(it has {there} of {count} bytes\)"):
        read_gzip_bytes(tmp_path / "a.gz", offset, count, 0)


@pytest.mark.parametrize(
    "content", [*DAMAGED.values(), with_wrong_checksum(b"0123456789")], ids=[*DAMAGED, "checksum"]
)
def test_a_damaged_gzip_is_refused(tmp_path, content):
    (tmp_path / "a.gz").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.gz is truncated or damaged") as refusal:
        read_gzip_bytes(tmp_path / "a.gz", 0, 4, 99)
    assert refusal.value.code == "truncated"


def test_more_bytes_than_fit_into_memory_are_refused(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"0123456789"))
    with pytest.raises(UserError, match=f"needs {1 << 62} bytes of memory, which are not"):
        read_gzip_bytes(tmp_path / "a.gz", 0, 1 << 62, 0)


def test_the_error_of_a_damaged_file_says_why(tmp_path):
    error = damaged_file_error(tmp_path, "a reason")
    assert str(error) == f"{tmp_path} is truncated or damaged (a reason); copy or create it again"
