"""The fields of an NRRD header, by its specification and as SimpleITK reads them."""

import numpy as np
import pytest
import SimpleITK as sitk
from support.itk_headers import DATA, NRRD, nrrd

from zoo.errors import UserError
from zoo.io.itk.header_text import read_voxels
from zoo.io.itk.nrrd_header import check_nrrd

TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t", "INT"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": (
        *("longlong", "long long", "long long int", "signed long long", "signed long long int"),
        *("int64", "int64_t"),
    ),
    "u8": (
        *("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
        "Unsigned Long Long",
    ),
    "f4": ("float",),
    "f8": ("double",),
}


def refusal(path):
    """Return the message with which a header is refused."""
    with pytest.raises(UserError) as error:
        check_nrrd(path)
    message = str(error.value)
    assert str(path) in message
    return message


def test_a_header_is_described(tmp_path):
    path = nrrd(tmp_path)
    stored = check_nrrd(path)
    assert stored.shape == (4, 3, 2)
    assert stored.dtype == np.dtype("<i2")
    assert stored.data_file == path
    assert stored.offset == path.stat().st_size - 48
    assert not stored.compressed


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for kind, names in TYPES.items() for name in names]
)
@pytest.mark.parametrize("endian", ["little", "big"])
def test_voxels_of_all_types_are_read_as_simpleitk_reads_them(tmp_path, name, kind, endian):
    data = np.random.default_rng(0).integers(0, 64, 24 * int(kind[1]), dtype="u1").tobytes()
    path = nrrd(tmp_path, data, type=name, endian=endian)
    theirs = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).transpose(2, 1, 0)
    ours = read_voxels(path, check_nrrd(path))
    assert ours.dtype == theirs.dtype == np.dtype(kind)
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("encoding", "compressed"),
    [("raw", False), ("RAW", False), ("gzip", True), ("gz", True), ("GZip", True)],
)
def test_encodings_are_raw_or_gzip(tmp_path, encoding, compressed):
    assert check_nrrd(nrrd(tmp_path, encoding=encoding)).compressed is compressed


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5])
def test_all_versions_of_the_format_are_read(tmp_path, version):
    assert check_nrrd(nrrd(tmp_path, magic=f"NRRD000{version}")).shape == (4, 3, 2)


@pytest.mark.parametrize("magic", ["NRRD0000", "NRRD0006", "NRRD00.01", "NRRD", "nrrd0004"])
def test_other_first_lines_are_refused(tmp_path, magic):
    expected = f"has the first line {magic!r} in its header; write NRRD0001 to NRRD0005"
    assert expected in refusal(nrrd(tmp_path, magic=magic))


@pytest.mark.parametrize("key", ["type", "dimension", "sizes", "encoding"])
def test_required_fields_are_named_if_they_are_missing(tmp_path, key):
    assert f"its header has no {key}" in refusal(nrrd(tmp_path, **{key: None}))


@pytest.mark.parametrize("first", ["# a comment", "key:=value", "key:=sizes: 1 1 1"])
def test_comments_and_pairs_before_the_fields_are_skipped(tmp_path, first):
    assert check_nrrd(nrrd(tmp_path, magic=f"NRRD0004\n{first}")).shape == (4, 3, 2)


def test_fields_are_read_in_any_letters_and_with_any_spaces_after_the_colon(tmp_path):
    text = "".join(f"{key.upper()}:   {value}  \n" for key, value in NRRD.items())
    (tmp_path / "a.nrrd").write_bytes(f"NRRD0004\n{text}\n".encode() + DATA.tobytes())
    assert check_nrrd(tmp_path / "a.nrrd").shape == (4, 3, 2)


@pytest.mark.parametrize(
    "field",
    [
        *("content", "space units", "units", "labels", "kinds", "centers", "centerings", "number"),
        *("sample units", "measurement frame", "thicknesses", "axis mins", "axis maxs", "min"),
        *("max", "old min", "old max", "block size"),
    ],
)
def test_fields_of_the_specification_are_allowed_once(tmp_path, field):
    assert check_nrrd(nrrd(tmp_path, **{field: "1"})).shape == (4, 3, 2)
    assert f"has a second {field!r}" in refusal(nrrd(tmp_path, **{field: f"1\n{field}: 1"}))


@pytest.mark.parametrize("key", ["line skip", "byte skip", "lineskip", "byteskip"])
@pytest.mark.parametrize("count", ["1", "-1", "00"])
def test_nothing_is_skipped_before_the_voxels(tmp_path, key, count):
    assert check_nrrd(nrrd(tmp_path, **{key: "0"})).shape == (4, 3, 2)
    expected = f"has {key.replace(' ', '')} {count!r} in its header; only 0 is allowed"
    assert expected in refusal(nrrd(tmp_path, **{key: count}))


@pytest.mark.parametrize(
    ("changes", "pattern"),
    [
        ({"type": "block"}, "has type 'block' in its header; save it as one of int8 to int64"),
        ({"dimension": "2"}, "is 2-dimensional with 1-component"),
        ({"dimension": "4"}, "is 4-dimensional with 1-component"),
        ({"dimension": "3 3"}, "has dimension '3 3' in its header; write 1 whole"),
        ({"sizes": "4 3"}, "has sizes '4 3' in its header; write 3 whole"),
        ({"sizes": "4 3 2 1"}, "has sizes '4 3 2 1' in its header; write 3 whole"),
        ({"sizes": "4 3 3"}, "describes 72 bytes, but there are 48 bytes"),
        ({"encoding": "hex"}, "has encoding 'hex' in its header; save it with the encoding raw"),
        ({"endian": "middle"}, "has endian 'middle' in its header; write little or big"),
        ({"endian": None}, "has endian '' in its header; write little or big"),
        ({"content": "x\nplug in: 1"}, "has the field 'plug in' in its header; NRRD has no such"),
        ({"content": "x\nSizes: 1 1 1"}, "has a second 'Sizes' in its header; keep one"),
        ({"content": "x\nhello"}, "('hello' is not a line of an NRRD header)"),
        ({"content": "x\n1st: 2"}, "('1st: 2' is not a line of an NRRD header)"),
        ({"content": "x\n" + "y" * 61}, f"('{'y' * 60}' is not a line"),
        ({"data_file": "../a.raw"}, "has data file '../a.raw' in its header"),
        ({"spacings": "1 2"}, "has spacings '1 2' in its header; write 3 finite"),
        ({"spacings": "1 2 3 4"}, "has spacings '1 2 3 4' in its header; write 3 finite"),
        ({"spacings": "1 0 3"}, "has spacings '1 0 3' in its header; set each one above 0"),
        ({"spacings": "1 2 -0.5"}, "has spacings '1 2 -0.5' in its header; set each one above 0"),
        ({"space_origin": "(1,2,3) (4,5,6)"}, "write 1 vectors as (x,y,z)"),
        ({"space_origin": "none"}, "has spaceorigin 'none' in its header; write 1 vectors"),
        ({"space_origin": "(1,2)"}, "has spaceorigin '1 2' in its header; write 3 finite"),
        ({"space_origin": "(1,2,3,4)"}, "has spaceorigin '1 2 3 4' in its header; write 3 finite"),
        ({"space_origin": "(1,2,x)"}, "has spaceorigin '1 2 x' in its header; write 3 finite"),
        ({"space_directions": "(1,0,0) (0,1,0)"}, "write 3 vectors as (x,y,z)"),
        ({"space_directions": "(1,0,0) (0,1,0) (0,0,1) (1,1,1)"}, "write 3 vectors as (x,y,z)"),
        ({"space_directions": "none (1,0,0) (0,1,0) (0,0,1)"}, "write 3 vectors as (x,y,z)"),
        ({"space_directions": "(1,0,0) (0,1,0) (0,0,inf)"}, "'0 0 inf' in its header; write 3"),
    ],
)
def test_other_values_are_refused(tmp_path, changes, pattern):
    assert pattern in refusal(nrrd(tmp_path, **changes))


def test_small_spacings_are_allowed(tmp_path):
    assert check_nrrd(nrrd(tmp_path, spacings="0.5 1e-3 2")).shape == (4, 3, 2)


@pytest.mark.parametrize(("endian", "expected"), [("little", "<i2"), ("BIG", ">i2")])
def test_the_byte_order_of_several_bytes_is_given(tmp_path, endian, expected):
    assert check_nrrd(nrrd(tmp_path, endian=endian)).dtype.str == expected


@pytest.mark.parametrize("kind", ["uint8", "signed char"])
def test_single_bytes_need_no_byte_order(tmp_path, kind):
    assert check_nrrd(nrrd(tmp_path, type=kind, endian=None)).dtype.itemsize == 1


@pytest.mark.parametrize("key", ["data_file", "datafile"])
def test_voxels_in_another_file_begin_at_its_first_byte(tmp_path, key):
    (tmp_path / "b.raw").write_bytes(DATA.tobytes())
    stored = check_nrrd(nrrd(tmp_path, b"", **{key: "b.raw"}))
    assert stored.data_file == tmp_path / "b.raw"
    assert stored.offset == 0
