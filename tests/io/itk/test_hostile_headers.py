"""Hostile headers of MetaImage and NRRD are refused before SimpleITK reads the file."""

import dataclasses
import gzip
import os
import zlib

import numpy as np
import pytest
import SimpleITK as sitk
from support.itk_headers import DATA, metaimage, nrrd

from zoo.errors import UserError
from zoo.io.itk import image as itk_image
from zoo.io.itk.header_text import check_stored
from zoo.io.itk.metaimage_header import check_metaimage
from zoo.io.volume import read_header, read_volume


@pytest.mark.parametrize("write", [metaimage, nrrd])
def test_the_good_header_is_read_as_simpleitk_reads_it(tmp_path, write):
    path = write(tmp_path)
    volume, theirs = read_volume(path), sitk.ReadImage(str(path))
    assert np.array_equal(volume.data.numpy(), DATA.reshape(2, 3, 4).transpose(2, 1, 0))
    corner = theirs.TransformIndexToPhysicalPoint((3, 2, 1))
    ours = volume.grid.affine.numpy() @ [3, 2, 1, 1]
    assert np.allclose(ours[:3] * [-1, -1, 1], corner)


@pytest.fixture
def no_simpleitk(monkeypatch):
    """Let the test fail if a header reaches SimpleITK."""

    def refuse(path):
        raise AssertionError(f"{path} reached SimpleITK")

    monkeypatch.setattr(itk_image, "_sitk", refuse)


METAIMAGES = {
    "more voxels than the data": {"DimSize": "400 300 200"},
    "too many voxels": {"DimSize": "4096 4096 4096"},
    "sizes that overflow": {"DimSize": "9223372036854775807 3 2"},
    "sizes beyond all types": {"DimSize": f"{'9' * 400} 3 2"},
    "a negative size": {"DimSize": "-4 3 2"},
    "a size of zero": {"DimSize": "0 3 2"},
    "too few sizes": {"DimSize": "4 3"},
    "sizes that end in the next line": {"DimSize": "4 3\n2"},
    "two dimensions": {"NDims": "2"},
    "many dimensions": {"NDims": "100000"},
    "many channels": {"ElementNumberOfChannels": "1000000"},
    "no element type": {"ElementType": None},
    "an array of bits": {"ElementType": "MET_LONG_ARRAY"},
    "an unknown type": {"ElementType": "MET_OTHER"},
    "an origin of NaN": {"Offset": "nan 0 0"},
    "an origin of Inf": {"Origin": "0 inf 0"},
    "a huge origin": {"Position": "1e300 0 0"},
    "a direction of NaN": {"TransformMatrix": "nan 0 0 0 1 0 0 0 1"},
    "a matrix that is too long": {"Rotation": "1 " * 900},
    "a spacing of zero": {"ElementSpacing": "0 1 1"},
    "a negative spacing": {"ElementSpacing": "1 -1 1"},
    "a spacing of NaN": {"ElementSpacing": "nan 1 1"},
    "a hexadecimal spacing": {"ElementSpacing": "0x1p3 1 1"},
    "a long sequence": {"SequenceID": "1 " * 1000},
    "text voxels": {"BinaryData": "False"},
    "a flag that is none": {"CompressedData": "maybe"},
    "a compressed size beyond the file": {
        "CompressedData": "True", "CompressedDataSize": "9000000000",
    },
    "a negative compressed size": {"CompressedDataSize": "-1"},
    "a compression ratio out of reach": {"CompressedData": "True", "DimSize": "1000 100 100"},
    "a header to skip": {"HeaderSize": "-1"},
    "a huge header to skip": {"HeaderSize": "99999999999"},
    "a key that occurs twice": {"Comment": "x\nDimSize = 1 1 1"},
    "another separator": {"Comment": "x\nElementDataFile : /etc/passwd"},
    "a line without a key": {"Comment": "x\n/etc/passwd"},
    "a control character": {"Comment": "x\x1b[31m"},
    "NUL": {"Comment": "x\0y"},
    "a long line": {"Comment": "x" * 5000},
    "a long header": {f"Comment{k}": "x" * 4000 for k in range(300)},
    "many lines": {f"C{k}": "x" for k in range(10_000)},
    "another object": {"ObjectType": "Mesh"},
    "an absolute file": {"ElementDataFile": "/etc/passwd"},
    "a file above": {"ElementDataFile": "../a.raw"},
    "a file below": {"ElementDataFile": "raw/a.raw"},
    "a file of Windows": {"ElementDataFile": "C:\\a.raw"},
    "a home folder": {"ElementDataFile": "~root"},
    "a list of slices": {"ElementDataFile": "LIST"},
    "a list of slices with a dimension": {"ElementDataFile": "LIST 2"},
    "a pattern of slices": {"ElementDataFile": "%s%s%s%n 1 9999999 1"},
    "a missing file": {"ElementDataFile": "none.raw"},
    "no data file": {"ElementDataFile": ""},
}  # fmt: skip
NRRDS = {
    "more voxels than the data": {"sizes": "400 300 200"},
    "too many voxels": {"sizes": "4096 4096 4096"},
    "sizes that overflow": {"sizes": "9223372036854775807 3 2"},
    "a negative size": {"sizes": "-4 3 2"},
    "too few sizes": {"sizes": "4 3"},
    "no sizes": {"sizes": None},
    "two dimensions": {"dimension": "2"},
    "many dimensions": {"dimension": "16"},
    "a block": {"type": "block", "block_size": "1000000000"},
    "an unknown type": {"type": "quad"},
    "an origin of NaN": {"space_origin": "(nan,0,0)"},
    "an origin of Inf": {"space_origin": "(0,inf,0)"},
    "a huge origin": {"space_origin": "(1e300,0,0)"},
    "a direction of NaN": {"space_directions": "(nan,0,0) (0,1,0) (0,0,1)"},
    "too few directions": {"space_directions": "(1,0,0) (0,1,0)"},
    "a direction of none": {"space_directions": "none (0,1,0) (0,0,1)"},
    "spacings of NaN": {"space_directions": None, "space": None, "spacings": "nan 1 1"},
    "a spacing of zero": {"space_directions": None, "space": None, "spacings": "0 1 1"},
    "text voxels": {"encoding": "ascii"},
    "an encoding with a plug-in": {"encoding": "zrl"},
    "lines to skip": {"line_skip": "1000000000"},
    "bytes to skip": {"byte_skip": "-1"},
    "a compression ratio out of reach": {"encoding": "gzip", "sizes": "1000 100 100"},
    "a field that occurs twice": {"content": "x\nsizes: 1 1 1"},
    "a field twice in other letters": {"content": "x\nSIZES: 1 1 1"},
    "an unknown field": {"plugin": "x"},
    "a line without a field": {"content": "x\n/etc/passwd"},
    "a control character": {"content": "x\x1b[31m"},
    "a long line": {"content": "x" * 5000},
    "an absolute file": {"data_file": "/etc/passwd"},
    "a file by another name of the field": {"datafile": "/etc/passwd"},
    "the standard input": {"data_file": "-"},
    "a file above": {"data_file": "../a.raw"},
    "a list of slices": {"data_file": "LIST"},
    "a pattern of slices": {"data_file": "%s%n 1 99999999 1"},
    "a missing file": {"data_file": "none.raw"},
}


@pytest.mark.usefixtures("no_simpleitk")
@pytest.mark.parametrize(
    ("write", "changes"),
    [
        *(pytest.param(metaimage, c, id=f"MetaImage, {name}") for name, c in METAIMAGES.items()),
        *(pytest.param(nrrd, c, id=f"NRRD, {name}") for name, c in NRRDS.items()),
    ],
)
def test_a_hostile_header_is_refused_without_simpleitk(tmp_path, write, changes):
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "a.raw").write_bytes(DATA.tobytes())
    path = write(folder, **changes)
    for read in (read_header, read_volume):
        with pytest.raises(UserError) as refusal:
            read(path)
        message = str(refusal.value)
        assert str(folder) in message
        assert message.isprintable()
        assert len(message) < 600 + 2 * len(str(folder))


@pytest.mark.usefixtures("no_simpleitk")
@pytest.mark.parametrize(("write", "key"), [(metaimage, "ElementDataFile"), (nrrd, "data_file")])
def test_a_link_out_of_the_folder_is_not_followed(tmp_path, write, key):
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "secret.raw").write_bytes(DATA.tobytes())
    (folder / "a.raw").symlink_to(tmp_path / "secret.raw")
    with pytest.raises(UserError, match="leads out of the folder"):
        read_volume(write(folder, b"", **{key: "a.raw"}))


@pytest.mark.parametrize(("write", "key"), [(metaimage, "ElementDataFile"), (nrrd, "data_file")])
def test_a_data_file_in_the_same_folder_is_read(tmp_path, write, key):
    (tmp_path / "a.raw").write_bytes(DATA.tobytes())
    volume = read_volume(write(tmp_path, b"", **{key: "a.raw"}))
    assert int(volume.data[3, 2, 1]) == 23
    (tmp_path / "a.raw").write_bytes(DATA.tobytes()[:-1])
    with pytest.raises(UserError, match="describes 48 bytes, but there are 47"):
        read_volume(tmp_path / write(tmp_path, b"", **{key: "a.raw"}).name)


def test_the_reader_is_that_of_the_checked_format_whatever_the_name(tmp_path):
    path = metaimage(tmp_path).rename(tmp_path / "a.nii.gz")
    assert sitk.ImageFileReader.GetImageIOFromFileName(str(path)) != "MetaImageIO"
    assert read_volume(path).grid.shape == (4, 3, 2)


@pytest.mark.parametrize("change", [{"shape": (3, 4, 2)}, {"dtype": np.dtype("<u2")}])
def test_a_header_on_which_simpleitk_disagrees_is_refused(tmp_path, monkeypatch, change):
    path = metaimage(tmp_path)
    other = dataclasses.replace(check_metaimage(path), **change)
    check_stored(path, other)
    monkeypatch.setattr(itk_image, "check_metaimage", lambda path: other)
    with pytest.raises(UserError, match="ambiguous"):
        read_header(path)


@pytest.mark.parametrize("matrix", ["1 0 0 1 0 0 0 0 1", "0 0 0 0 0 0 0 0 0"])
def test_a_direction_without_three_axes_is_refused(tmp_path, matrix):
    with pytest.raises(UserError, match=r"a\.mha"):
        read_header(metaimage(tmp_path, TransformMatrix=matrix))


@pytest.mark.parametrize("write", [metaimage, nrrd])
@pytest.mark.parametrize("damage", ["a flipped byte", "an early end", "too many voxels"])
def test_damaged_compressed_voxels_are_refused(tmp_path, write, damage):
    """SimpleITK returns uninitialised memory for such a MetaImage."""
    data = DATA.tobytes() + (b"more" if damage == "too many voxels" else b"")
    packed = bytearray(zlib.compress(data) if write is metaimage else gzip.compress(data))
    if damage == "a flipped byte":
        packed[len(packed) // 2] ^= 0xFF
    elif damage == "an early end":
        del packed[-3:]
    encoding = {"CompressedData": "True"} if write is metaimage else {"encoding": "gzip"}
    with pytest.raises(UserError, match="truncated or damaged"):
        read_volume(write(tmp_path, bytes(packed), **encoding))


@pytest.mark.parametrize("write", [metaimage, nrrd])
def test_big_endian_voxels_are_read_as_simpleitk_reads_them(tmp_path, write):
    order = {"BinaryDataByteOrderMSB": "True"} if write is metaimage else {"endian": "big"}
    path = write(tmp_path, DATA.astype(">i2").tobytes(), **order)
    theirs = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).transpose(2, 1, 0)
    assert np.array_equal(read_volume(path).data.numpy(), theirs)
    assert theirs.max() == 23


def test_slope_and_offset_of_the_voxels_are_single_numbers_as_for_simpleitk(tmp_path):
    keys = {"ElementToIntensityFunctionSlope": "1", "ElementToIntensityFunctionOffset": "0"}
    path = metaimage(tmp_path, **keys)
    theirs = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).transpose(2, 1, 0)
    assert np.array_equal(read_volume(path).data.numpy(), theirs)


def test_a_zero_filled_compressed_volume_is_within_the_ratio(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((100, 100, 100), np.int16))
    for name in ("zeros.mha", "zeros.nrrd"):
        sitk.WriteImage(image, str(tmp_path / name), True)
        assert os.stat(tmp_path / name).st_size < 20_000  # noqa: PTH116
        assert not read_volume(tmp_path / name).data.any()
