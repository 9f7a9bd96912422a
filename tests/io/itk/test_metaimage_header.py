"""The fields of a MetaImage header, by its documentation and as SimpleITK reads them."""

import zlib

import numpy as np
import pytest
import SimpleITK as sitk
from support.itk_headers import DATA, metaimage

from zoo.errors import UserError
from zoo.io.itk.header_text import read_voxels
from zoo.io.itk.metaimage_header import check_metaimage

COUNTS = {
    **{"TransformMatrix": 9, "Rotation": 9, "Orientation": 9, "Offset": 3, "Position": 3},
    **{"Origin": 3, "CenterOfRotation": 3, "ElementSpacing": 3, "ElementSize": 3, "SequenceID": 3},
    **{"ElementMin": 1, "ElementMax": 1, "ID": 1, "ParentID": 1, "Color": 4},
    **{"ElementToIntensityFunctionSlope": 1, "ElementToIntensityFunctionOffset": 1},
}


def refusal(path):
    """Return the message with which a header is refused."""
    with pytest.raises(UserError) as error:
        check_metaimage(path)
    message = str(error.value)
    assert str(path) in message
    return message


def test_a_header_is_described(tmp_path):
    path = metaimage(tmp_path)
    stored = check_metaimage(path)
    assert stored.shape == (4, 3, 2)
    assert stored.dtype == np.dtype("<i2")
    assert stored.data_file == path
    assert stored.offset == path.stat().st_size - 48
    assert not stored.compressed
    assert stored.packed_bytes is None


@pytest.mark.parametrize(
    "key",
    [
        *("ObjectType", "BinaryData", "CompressedData", "TransformMatrix", "Offset"),
        "ElementSpacing",
    ],
)
def test_what_has_a_default_can_be_left_out(tmp_path, key):
    stored = check_metaimage(metaimage(tmp_path, **{key: None}))
    assert (stored.shape, stored.compressed) == ((4, 3, 2), False)


@pytest.mark.parametrize(
    ("key", "pattern"),
    [
        ("NDims", "has NDims '' in its header; write 1 whole numbers"),
        ("DimSize", "has DimSize '' in its header; write 3 whole numbers"),
        ("ElementType", "has ElementType '' in its header; save it as one of MET_CHAR, MET_UCHAR"),
        ("ElementDataFile", "has no ElementDataFile"),
    ],
)
def test_what_has_no_default_is_needed(tmp_path, key, pattern):
    assert pattern in refusal(metaimage(tmp_path, b"", **{key: None}))


@pytest.mark.parametrize(
    "kind",
    [
        *("MET_CHAR", "MET_UCHAR", "MET_SHORT", "MET_USHORT", "MET_INT", "MET_UINT", "MET_LONG"),
        *("MET_ULONG", "MET_LONG_LONG", "MET_ULONG_LONG", "MET_FLOAT", "MET_DOUBLE"),
    ],
)
@pytest.mark.parametrize("big", ["True", "False"])
def test_voxels_of_all_types_are_read_as_simpleitk_reads_them(tmp_path, kind, big):
    data = np.random.default_rng(0).integers(0, 64, 24 * 8, dtype="u1").tobytes()
    path = metaimage(tmp_path, data, ElementType=kind, BinaryDataByteOrderMSB=big)
    theirs = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).transpose(2, 1, 0)
    ours = read_voxels(path, check_metaimage(path))
    assert ours.dtype == theirs.dtype
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(("key", "count"), COUNTS.items(), ids=COUNTS)
def test_keys_have_as_many_numbers_as_metaio_reads(tmp_path, key, count):
    for given in range(count - 1, count + 2):
        text = " ".join(str(k + 1) for k in range(given))
        path = metaimage(tmp_path, **{key: text})
        if given == count:
            assert check_metaimage(path).shape == (4, 3, 2)
        else:
            assert f"has {key} {text!r} in its header; write {count} finite" in refusal(path)


@pytest.mark.parametrize("key", ["ElementSpacing", "ElementSize"])
@pytest.mark.parametrize("text", ["0 1 2", "1 2 -0.5", "1 -3 2"])
def test_spacings_are_above_zero(tmp_path, key, text):
    assert check_metaimage(metaimage(tmp_path, **{key: "0.5 1e-3 2"})).shape == (4, 3, 2)
    expected = f"has {key} {text!r} in its header; set each spacing above 0 mm"
    assert expected in refusal(metaimage(tmp_path, **{key: text}))


@pytest.mark.parametrize(
    ("changes", "pattern"),
    [
        ({"NDims": "2"}, "is 2-dimensional with 1-component"),
        ({"NDims": "4"}, "is 4-dimensional with 1-component"),
        ({"NDims": "3 3"}, "has NDims '3 3' in its header; write 1 whole"),
        ({"ElementNumberOfChannels": "3"}, "is 3-dimensional with 3-component"),
        ({"ElementNumberOfChannels": ""}, "has ElementNumberOfChannels '' in"),
        ({"DimSize": "4 3"}, "has DimSize '4 3' in its header; write 3 whole"),
        ({"DimSize": "4 3 2 1"}, "has DimSize '4 3 2 1' in its header; write 3 whole"),
        ({"DimSize": "4 3 3"}, "describes 72 bytes, but there are 48 bytes"),
        ({"ObjectType": "Mesh"}, "has ObjectType 'Mesh' in its header; only Image"),
        ({"ObjectType": "Group"}, "has ObjectType 'Group' in its header; only Image"),
        ({"ElementType": "MET_OTHER"}, "has ElementType 'MET_OTHER' in its header; save it as"),
        ({"BinaryData": "False"}, "has BinaryData 'False' in its header; save the voxels"),
        ({"BinaryData": "0"}, "has BinaryData '0' in its header; save the voxels"),
        ({"BinaryData": "yes"}, "has BinaryData 'yes' in its header; write True or False"),
        ({"CompressedData": "2"}, "has CompressedData '2' in its header; write True or False"),
        ({"HeaderSize": "1"}, "has HeaderSize '1' in its header; only 0 is allowed"),
        ({"HeaderSize": "-1"}, "has HeaderSize '-1' in its header; only 0 is allowed"),
        ({"CompressedDataSize": "0"}, "has CompressedDataSize '0' in its header; write 1 whole"),
        ({"Comment": "x\nNDims = 3"}, "has a second 'NDims' in its header; keep one"),
        ({"Comment": "x\nword"}, "'word' is not a line of a MetaImage header"),
        ({"Comment": "x\n\n"}, "'' is not a line of a MetaImage header"),
        ({"Comment": "x\n1st = 2"}, "'1st = 2' is not a line of a MetaImage header"),
        ({"Comment": "x\na:b = 2"}, "'a:b = 2' is not a line of a MetaImage header"),
        ({"Comment": "x\n" + "y" * 61}, f"('{'y' * 60}' is not a line"),
        ({"ElementDataFile": ""}, "has no ElementDataFile"),
        ({"ElementDataFile": "../a.raw"}, "has ElementDataFile '../a.raw' in its header"),
    ],
)
def test_other_values_are_refused(tmp_path, changes, pattern):
    assert pattern in refusal(metaimage(tmp_path, **changes))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("True", True), ("TRUE", True), ("1", True), ("False", False), ("false", False), ("0", False)],
)
def test_flags_are_words_or_digits(tmp_path, text, expected):
    packed = zlib.compress(DATA.tobytes())
    path = metaimage(tmp_path, packed + bytes(48), CompressedData=text)
    assert check_metaimage(path).compressed is expected


@pytest.mark.parametrize("compressed", ["True", "False"])
def test_the_compressed_size_counts_only_for_compressed_voxels(tmp_path, compressed):
    changes = {"CompressedData": compressed, "CompressedDataSize": "31", "HeaderSize": "0"}
    stored = check_metaimage(metaimage(tmp_path, **changes))
    assert stored.packed_bytes == (31 if compressed == "True" else None)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        *((None, None, "<i2"), ("True", None, ">i2"), (None, "True", ">i2"), ("1", "true", ">i2")),
        *(("False", None, "<i2"), (None, "False", "<i2"), ("0", "False", "<i2")),
    ],
)
def test_the_byte_order_has_two_keys(tmp_path, first, second, expected):
    keys = {"ElementByteOrderMSB": second, "BinaryDataByteOrderMSB": first}
    assert check_metaimage(metaimage(tmp_path, **keys)).dtype.str == expected


@pytest.mark.parametrize(("first", "second"), [("True", "False"), ("False", "1")])
def test_both_keys_of_the_byte_order_agree(tmp_path, first, second):
    keys = {"ElementByteOrderMSB": second, "BinaryDataByteOrderMSB": first}
    message = refusal(metaimage(tmp_path, **keys))
    expected = f"has ElementByteOrderMSB {second!r} in its header; BinaryDataByteOrderMSB says"
    assert expected in message


@pytest.mark.parametrize("name", ["LOCAL", "Local", "local"])
def test_local_voxels_follow_the_header(tmp_path, name):
    path = metaimage(tmp_path, ElementDataFile=name)
    stored = check_metaimage(path)
    assert stored.data_file == path
    assert stored.offset == path.stat().st_size - 48


@pytest.mark.parametrize("name", ["a.raw", "z.raw", "LOCAL.raw"])
def test_voxels_in_another_file_begin_at_its_first_byte(tmp_path, name):
    (tmp_path / name).write_bytes(DATA.tobytes())
    stored = check_metaimage(metaimage(tmp_path, b"", ElementDataFile=name))
    assert stored.data_file == tmp_path / name
    assert stored.offset == 0
