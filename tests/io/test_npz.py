"""Archives of one array: what numpy writes is read, and what an archive claims is checked."""

import io
import struct
import zipfile

import numpy as np
import pytest

from zoo import UserError
from zoo.io.npz import read_npz_array

HEADER = "{{'descr': '{}', 'fortran_order': {}, 'shape': {}}}"
ORDER = np.arange(24).reshape(2, 3, 4)


def npy(header, body=b"", *, magic=b"\x93NUMPY", version=(1, 0)):
    """Return an array file with a header of any text."""
    text = header.encode() + b"\n"
    length = len(text).to_bytes(2 if version[0] == 1 else 4, "little")
    return magic + bytes(version) + length + text + body


def archive(path, *members, method=zipfile.ZIP_DEFLATED, comment=b""):
    """Write an archive of (name, content) and return its path."""
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members:
            file.writestr(name, content)
        file.comment = comment
    return path


def array_of(path, header, body=b"", **more):
    return archive(path, ("arr_0.npy", npy(header, body, **more)))


def claim(path, **fields):
    """Change fields of the only entry in an archive's list of members."""
    places = {"flags": (8, "<H"), "compressed": (20, "<I"), "size": (24, "<I")}
    content = bytearray(path.read_bytes())
    start = content.rindex(b"PK\1\2")
    for name, value in fields.items():
        place, kind = places[name]
        struct.pack_into(kind, content, start + place, value)
    path.write_bytes(content)


def refused(path, pattern):
    with pytest.raises(UserError, match=pattern) as refusal:
        read_npz_array(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_numpy_are_read_in_native_byte_order(tmp_path, save, dtype, order):
    given = np.array(ORDER / 8 - 1, dtype, order=order)
    save(tmp_path / "a.npz", field=given)
    array = read_npz_array(tmp_path / "a.npz")
    assert array.dtype == np.dtype(dtype).newbyteorder("=")
    assert array.dtype.isnative
    assert np.array_equal(array, given)


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2,) * 8], ids=str)
def test_arrays_of_any_number_of_axes_up_to_eight_are_read(tmp_path, shape):
    given = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    np.savez(tmp_path / "a.npz", given)
    array = read_npz_array(tmp_path / "a.npz")
    assert array.shape == shape
    assert np.array_equal(array, given)


def test_the_second_version_of_the_format_is_read(tmp_path):
    content = io.BytesIO()
    np.lib.format.write_array(content, np.float32(ORDER), version=(2, 0))
    archive(tmp_path / "a.npz", ("arr_0.npy", content.getvalue()))
    assert np.array_equal(read_npz_array(tmp_path / "a.npz"), ORDER)


@pytest.mark.filterwarnings("error")
def test_headers_that_python_2_wrote_are_read_without_a_warning(tmp_path):
    array_of(tmp_path / "a.npz", HEADER.format("<f4", False, "(2L, 3L)"), bytes(24))
    assert read_npz_array(tmp_path / "a.npz").shape == (2, 3)


def test_the_only_array_or_arr_0_is_read(tmp_path):
    fields = {f"a{k}": np.full(3, float(k)) for k in range(3)}
    np.savez(tmp_path / "one.npz", disp=fields["a1"])
    assert read_npz_array(tmp_path / "one.npz").tolist() == [1, 1, 1]
    np.savez(tmp_path / "three.npz", **fields, arr_0=np.full(3, 7.0))
    assert read_npz_array(tmp_path / "three.npz").tolist() == [7, 7, 7]


def test_of_several_arrays_without_arr_0_ten_are_listed(tmp_path):
    names = [f"{k:02}" for k in range(11)] + ["z" * 99]
    content = npy(HEADER.format("<f4", False, "(1,)"), bytes(4))
    archive(tmp_path / "a.npz", *((f"{name}.npy", content) for name in names))
    message = refused(tmp_path / "a.npz", "give an archive with one array, or with one named arr_0")
    assert f" contains {', '.join(names[:10])}; give" in message
    archive(tmp_path / "b.npz", *((f"{name}.npy", content) for name in (names[-1], "ü\n")))
    message = refused(tmp_path / "b.npz", "give an archive")
    assert f" contains {'z' * 60}, \\xfc\\n; give" in message
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive(tmp_path / "c.npz", *[("arr_0.npy", content)] * 2)
    refused(tmp_path / "c.npz", "contains arr_0, arr_0; give")
    archive(tmp_path / "d.npz")
    refused(tmp_path / "d.npz", "contains nothing; give")


def test_an_archive_may_end_with_the_longest_comment(tmp_path):
    content = npy(HEADER.format("<f8", False, "(9999,)"), bytes(79992))
    for length in (0, 1, 65535):
        path = tmp_path / f"{length}.npz"
        archive(path, ("arr_0.npy", content), method=zipfile.ZIP_STORED, comment=b"x" * length)
        assert read_npz_array(path).shape == (9999,)


def test_a_damaged_end_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", np.zeros(3))
    content = (tmp_path / "a.npz").read_bytes()
    for length in (len(content) - 1, len(content) - 21, len(content) - 22):
        (tmp_path / "a.npz").write_bytes(content[:length])
        refused(tmp_path / "a.npz", r"damaged \(its list of members is missing\)")


def test_archives_of_more_than_4_gib_are_refused(tmp_path):
    path = array_of(tmp_path / "a.npz", HEADER.format("<f4", False, "(1,)"), bytes(4))
    content = path.read_bytes()
    end = content.rindex(b"PK\5\6")
    path.write_bytes(content[:end] + b"PK\6\7" + bytes(16) + content[end:])
    refused(path, "more than 4 GiB; give a smaller field")


def test_the_list_of_members_has_at_most_a_mebibyte(tmp_path):
    path = array_of(tmp_path / "a.npz", HEADER.format("<f4", False, "(1,)"), bytes(4))
    content = bytearray(path.read_bytes())
    for length, pattern in (
        (1 << 20, "truncated or damaged"),  # fewer bytes are there
        ((1 << 20) + 1, "members of 1048577 bytes; at most 1048576 are allowed: save one array"),
    ):
        struct.pack_into("<I", content, content.rindex(b"PK\5\6") + 12, length)
        path.write_bytes(content)
        refused(path, pattern)


@pytest.mark.parametrize(
    ("method", "number"), [(zipfile.ZIP_BZIP2, 12), (zipfile.ZIP_LZMA, 14)], ids=["bzip2", "lzma"]
)
def test_other_compressions_are_refused(tmp_path, method, number):
    archive(tmp_path / "a.npz", ("arr_0.npy", b"x"), method=method)
    refused(tmp_path / "a.npz", f"compressed with method {number}; save it with numpy.savez")


@pytest.mark.parametrize("compressed", [None, 0])
def test_a_member_expands_at_most_as_far_as_deflate_can(tmp_path, compressed):
    path = array_of(tmp_path / "a.npz", HEADER.format("<f4", False, "(100,)"), bytes(400))
    with zipfile.ZipFile(path) as file:
        there = file.infolist()[0].compress_size if compressed is None else compressed
    most = 1032 * max(there, 1)
    for size, pattern in (
        (most + 1, rf"damaged \({there} bytes cannot expand to {most + 1}\)"),
        (most, "truncated or damaged"),
    ):
        claim(path, compressed=there, size=size)
        message = refused(path, pattern)
    assert "cannot expand" not in message


@pytest.mark.parametrize(
    ("header", "body", "pattern"),
    [
        (HEADER.format("|O", False, "(3,)"), bytes(24), "contains Python objects, which could run"),
        (HEADER.format("<i4", False, "(3,)"), bytes(12), "is of type int32; save the field as"),
        (HEADER.format("<c8", False, "(3,)"), bytes(24), "is of type complex64; save the field as"),
        (HEADER.format("<f16", False, "(3,)"), bytes(48), "is of type float128; save the field as"),
        (HEADER.format("<f4", False, "(-1, -1)"), bytes(4), r"has the shape \(-1, -1\)\)"),
        (HEADER.format("<f4", False, "(3, -1)"), bytes(4), r"its array has the shape \(3, -1\)"),
        (HEADER.format("<f4", False, (1,) * 9), bytes(4), "its array has the shape"),
        (HEADER.format("<f4", False, "(3,)"), bytes(11), r"an array of \(3,\) needs 12 bytes"),
        (HEADER.format("<f4", False, "(3,)"), bytes(13), r"an array of \(3,\) needs 12 bytes"),
        (HEADER.format("<f4", False, "(3221225472,)"), b"", "needs 12884901888 bytes"),
        (HEADER.format("<f4", False, "(3221225473,)"), b"", r"\(3221225473,\); at most 1073741824"),
    ],
)  # fmt: skip
def test_other_arrays_are_refused(tmp_path, header, body, pattern):
    refused(array_of(tmp_path / "a.npz", header, body), pattern)


def test_a_header_has_at_most_4096_characters(tmp_path):
    text = HEADER.format("<f4", False, "(2,)")
    path = array_of(tmp_path / "a.npz", text.ljust(4095), bytes(8))  # and a line end
    assert read_npz_array(path).shape == (2,)
    array_of(path, text.ljust(4096), bytes(8))
    refused(path, r"Header info length \(4097\) is large")


@pytest.mark.parametrize("version", [(3, 0), (1, 1), (0, 0)], ids=str)
def test_other_versions_of_the_format_are_refused(tmp_path, version):
    text = HEADER.format("<f4", False, "(1,)")
    array_of(tmp_path / "a.npz", text, bytes(4), version=version)
    pattern = rf"its array has the format version \({version[0]}, {version[1]}\)"
    refused(tmp_path / "a.npz", pattern)


def test_other_files_in_an_archive_are_refused(tmp_path):
    archive(tmp_path / "a.npz", ("arr_0.npy", b"\x93NUMPX" + bytes(90)))
    refused(tmp_path / "a.npz", "is a zip archive of other files; give one array")


def test_fewer_bytes_than_announced_are_refused(tmp_path):
    content = npy(HEADER.format("<f4", False, "(100,)"), bytes(200))
    archive(tmp_path / "a.npz", ("arr_0.npy", content))
    claim(tmp_path / "a.npz", size=len(content) + 200)
    refused(tmp_path / "a.npz", r"damaged \(its array has 200 bytes\)")


@pytest.mark.parametrize(
    ("flags", "pattern"), [(1, "is encrypted"), (0x20, "compressed patched data")]
)
def test_encrypted_and_patched_members_are_refused(tmp_path, flags, pattern):
    np.savez(tmp_path / "a.npz", np.zeros(3))
    claim(tmp_path / "a.npz", flags=flags)
    refused(tmp_path / "a.npz", rf"truncated or damaged \(.*{pattern}")


def test_a_wrong_checksum_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", np.zeros(3))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[content.rindex(b"PK\1\2") - 1] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    refused(tmp_path / "a.npz", r"damaged \(Bad CRC-32 for file 'arr_0.npy'\)")


def test_a_header_that_ends_within_a_bracket_is_refused(tmp_path):
    array_of(tmp_path / "a.npz", "{'shape': (")
    refused(tmp_path / "a.npz", "truncated or damaged")


def test_the_reason_of_a_refusal_has_at_most_120_characters(tmp_path):
    array_of(tmp_path / "a.npz", "1, " * 200 + "x y")
    message = refused(tmp_path / "a.npz", r"damaged \(Cannot parse header: '1, 1")
    assert len(message.partition("(")[2].partition("); copy")[0]) == 120
