"""The voxels of a DICOM series: their type, and the values that its files store."""

import io
import sys
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)
from support.dicom_cases import analytic_slices, enhanced, write_slices

from zoo.errors import UserError
from zoo.io.dicom.image import read_dicom
from zoo.io.dicom.pixels import voxel_type


def series(bits, signed, *rescaling):
    """Return what is read of a series with one (slope, intercept) per frame."""
    file = SimpleNamespace(stored=(8 * -(-bits // 8), bits, signed))
    frames = [SimpleNamespace(slope=slope, intercept=intercept) for slope, intercept in rescaling]
    return SimpleNamespace(files=[file], first=file, frames=frames)


@pytest.mark.parametrize(
    ("bits", "signed", "rescaling", "expected"),
    [
        (12, False, [(1, -1024)], np.int16),
        (15, False, [(1, 0)], np.int16),  # 0 to 32767
        (15, False, [(1, 1)], np.int32),
        (16, True, [(1, 0)], np.int16),  # -32768 to 32767
        (16, True, [(1, -1)], np.int32),
        (16, True, [(1, 1)], np.int32),
        (16, False, [(1, -32768)], np.int16),  # -32768 to 32767
        (16, False, [(1, -32769)], np.int32),
        (16, False, [(1, 0), (1, -32768)], np.int32),
        (32, True, [(1, 0)], np.int32),
        (32, False, [(1, 0)], np.int64),
        (12, False, [(1, 1e19)], np.float32),  # more than 64 bits
        (12, False, [(2, 0)], np.float32),
        (12, False, [(0.5, 0)], np.float32),
        (12, False, [(1, 0.5)], np.float32),
        (12, False, [(1, 1.5)], np.float32),  # less than 2, to which it is rounded
        (12, False, [(1, 0), (2, 0)], np.float32),
    ],
)
def test_it_is_the_smallest_integer_type_that_holds_all_values(bits, signed, rescaling, expected):
    assert voxel_type(series(bits, signed, *rescaling)) == expected


def stored_slices(images, dtype="<u2", *, syntax=ExplicitVRLittleEndian, vr="OW", **attributes):
    """Return slices that store these images [rows, columns]; an attribute of None is removed."""
    rows, columns = images[0].shape
    plain, _ = analytic_slices(shape=(columns, rows, len(images)), direction=np.eye(3))
    bits = 8 * np.dtype(dtype).itemsize
    described = {"BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1}
    described["PixelRepresentation"] = int(np.dtype(dtype).kind == "i")
    described |= {"RescaleSlope": "1", "RescaleIntercept": "0", **attributes}
    out = []
    for source, image in zip(plain, images, strict=True):
        dataset = Dataset()
        dataset.update(source)
        dataset.file_meta = source.file_meta
        dataset.file_meta.TransferSyntaxUID = syntax
        for keyword, value in described.items():
            setattr(dataset, keyword, value)
            if value is None:
                delattr(dataset, keyword)
        pixels = image.astype(dtype).tobytes()
        dataset.PixelData = pixels + bytes(len(pixels) % 2)
        dataset["PixelData"].VR = vr
        out.append(dataset)
    return out


def images_of(values, rows, columns, count=2):
    """Return `count` images [rows, columns] that go through `values`, each from another start."""
    return [
        np.resize(np.roll(np.array(values), -k), (rows, columns)).astype(np.int64)
        for k in range(count)
    ]


def check_values(folder, images):
    """Compare the voxels [columns, rows, slices] that are read with images [rows, columns]."""
    voxels, _ = read_dicom(folder)
    assert voxels.flags.c_contiguous
    np.testing.assert_array_equal(voxels, np.stack([image.T for image in images], axis=-1))


WORDS = (0, 1, 255, 256, 258, 32767, 32768, 65535)
SIGNED_WORDS = (-32768, -257, -1, 0, 1, 255, 256, 32767)
LONGS = (0, 1, 65536, 16909060, 2147483647, 2147483648, 4294967295)
SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (range(251), "u1"),
        ((-128, -2, -1, 0, 1, 127), "i1"),
        (WORDS, "u2"),
        (SIGNED_WORDS, "i2"),
        (LONGS, "u4"),
        ((-2147483648, -65537, 0, 2147483647), "i4"),
    ],
)
def test_uncompressed_values_are_read_in_every_byte_order(tmp_path, syntax, values, dtype):
    images = images_of(values, 3, 5)  # an odd number of pixels: single bytes are padded
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    slices = stored_slices(images, order + dtype, syntax=syntax, vr="OB" if "1" in dtype else "OW")
    check_values(write_slices(tmp_path / "ct", slices), images)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_single_bytes_in_words_are_read_as_pydicom_reads_them(tmp_path, syntax):
    slices = stored_slices(images_of(range(251), 3, 5), "u1", syntax=syntax, vr="OW")
    folder = write_slices(tmp_path / "ct", slices)
    files = sorted(folder.iterdir())
    check_values(folder, [pydicom.dcmread(file).pixel_array.astype(int) for file in files])


@pytest.mark.parametrize("count", [2, 15, 16, 17, 40])
def test_every_slice_of_a_long_series_is_at_its_place(tmp_path, count):
    images = images_of(range(1, 200), 2, 3, count)
    check_values(write_slices(tmp_path / "ct", stored_slices(images)), images)


def test_the_type_of_the_pixels_may_be_left_out_and_is_unsigned(tmp_path):
    images = images_of(WORDS, 3, 4)
    slices = stored_slices(images, PixelRepresentation=None, BitsStored=None)
    check_values(write_slices(tmp_path / "ct", slices), images)


@pytest.mark.parametrize(("slope", "intercept"), [("0.25", "-3.5"), ("1", "0.5"), ("3", "7")])
def test_values_are_rescaled(tmp_path, slope, intercept):
    images = images_of((0, 1, 2, 40000), 3, 4)
    slices = stored_slices(images, RescaleSlope=slope, RescaleIntercept=intercept)
    expected = [image * float(slope) + float(intercept) for image in images]
    check_values(write_slices(tmp_path / "ct", slices), expected)


@pytest.mark.parametrize("dtype", ["<u2", "<u4"])
def test_an_offset_is_added_without_overflow(tmp_path, dtype):
    images = images_of((0, 5, np.iinfo(dtype).max), 3, 4)
    slices = stored_slices(images, dtype, RescaleIntercept="1000")
    check_values(write_slices(tmp_path / "ct", slices), [image + 1000 for image in images])


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    ("allocated", "bits"), [(8, 7), (16, 1), (16, 2), (16, 12), (16, 15), (32, 12), (32, 31)]
)
def test_only_the_stored_bits_count(tmp_path, allocated, bits, signed):
    half = 1 << (bits - 1)
    low, high = (-half, half - 1) if signed else (0, 2 * half - 1)
    images = images_of(sorted({low, low + 1, high // 3, high - 1, high}), 3, 4)
    other_bits = ((1 << allocated) - 1) ^ ((1 << bits) - 1)
    stored = [(image & ((1 << bits) - 1)) | other_bits for image in images]
    slices = stored_slices(
        stored, f"<u{allocated // 8}", BitsStored=bits, HighBit=bits - 1,
        PixelRepresentation=int(signed),
    )  # fmt: skip
    check_values(write_slices(tmp_path / "ct", slices), images)


def test_files_of_one_series_may_store_different_numbers_of_bits(tmp_path):
    images = images_of((0, 1, 4095), 3, 4)
    slices = stored_slices(images)
    slices[0].BitsStored, slices[0].HighBit = 12, 11
    folder = write_slices(tmp_path / "ct", slices)
    check_values(folder, images)
    assert read_dicom(folder)[0].dtype == np.int32  # 16 bits without a sign


def multi_frame(images, *, compressed=False):
    """Return one object with these images as frames; `enhanced` puts the last one first."""
    return enhanced(analytic_from(images), compressed=compressed)


def analytic_from(images):
    """Return CT slices, 1024 below their stored values, that show these images."""
    rows, columns = images[0].shape
    slices, _ = analytic_slices(shape=(columns, rows, len(images)))
    for dataset, image in zip(slices, images, strict=True):
        dataset.PixelData = (image + 1024).astype("<u2").tobytes()
    return slices


@pytest.mark.parametrize("compressed", [False, True])
def test_every_frame_of_one_file_is_at_its_place(tmp_path, compressed):
    images = images_of((-1024, 0, 7, 1000, 31000), 11, 13, 5)
    path = tmp_path / "a.dcm"
    multi_frame(images, compressed=compressed).save_as(path, enforce_file_format=True)
    check_values(path, images)


@pytest.mark.parametrize(
    ("dtype", "values"), [("<u2", WORDS), ("<i2", SIGNED_WORDS), ("u1", (3, 250, 9))]
)
def test_compressed_values_are_those_before_compression(tmp_path, dtype, values):
    images = images_of(values, 11, 13)
    slices = stored_slices(images, dtype)
    for dataset in slices:
        dataset.compress(RLELossless)
    check_values(write_slices(tmp_path / "ct", slices), images)


def damaged(path):
    """Return the message with which a damaged file is refused."""
    with pytest.raises(UserError) as raised:
        read_dicom(path)
    assert raised.value.code == "truncated"
    return str(raised.value)


@pytest.mark.parametrize("missing", [2, 3, 29])
def test_pixels_that_end_early_are_refused_with_both_sizes(tmp_path, missing):
    slices = stored_slices(images_of(WORDS, 3, 5))
    slices[1].PixelData = slices[1].PixelData[:-missing]
    folder = write_slices(tmp_path / "ct", slices)
    found = 30 - missing + missing % 2  # pydicom writes even numbers of bytes
    assert f"its pixels take {found} bytes, not 30" in damaged(folder)


def test_frames_that_end_early_are_refused_with_both_sizes(tmp_path):
    dataset = multi_frame(images_of(range(9), 3, 5, 4))
    dataset.PixelData = dataset.PixelData[:-2]
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert "its pixels take 118 bytes, not 120" in damaged(tmp_path / "a.dcm")


def test_a_file_without_pixels_is_refused(tmp_path):
    slices = stored_slices(images_of(WORDS, 3, 5))
    for dataset in slices:
        del dataset.PixelData
    assert "its pixels take 0 bytes, not 30" in damaged(write_slices(tmp_path / "ct", slices))


def as_jpeg(image):
    """Return the bytes of an image [rows, columns] of 8 bits as a JPEG file."""
    stream = io.BytesIO()
    Image.fromarray(image.astype(np.uint8)).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def compressed_slices(images, syntax, encoded):
    """Return slices of 8 bits that announce the size of `images` and hold `encoded` pixels."""
    slices = stored_slices(images, "u1", syntax=syntax)
    for dataset, content in zip(slices, encoded, strict=True):
        dataset.PixelData = encapsulate([content])
        dataset["PixelData"].VR = "OB"
    return slices


def test_jpeg_is_decoded(tmp_path):
    images = [np.add.outer(np.arange(16), 9 * np.arange(24)) + k for k in range(2)]
    encoded = list(map(as_jpeg, images))
    expected = [np.array(Image.open(io.BytesIO(content))).astype(int) for content in encoded]
    slices = compressed_slices(images, JPEGBaseline8Bit, encoded)
    voxels, _ = read_dicom(write_slices(tmp_path / "ct", slices))
    difference = voxels - np.stack([image.T for image in expected], axis=-1)
    assert np.abs(difference).max() <= 1  # decoders round differently


@pytest.mark.parametrize("size", [(7, 8), (3, 4), (6, 5)])
def test_a_compressed_image_of_another_size_than_announced_is_refused(tmp_path, size):
    encoded = [as_jpeg(np.full(size, 7))] * 2
    slices = compressed_slices(images_of(range(9), 5, 6), JPEGBaseline8Bit, encoded)
    text = damaged(write_slices(tmp_path / "ct", slices))
    assert f"its pixels have the shape {size}" in text


def test_pixels_that_cannot_be_decoded_are_refused_with_the_last_line_of_the_reason(tmp_path):
    noise = np.random.default_rng(0).bytes(200)
    slices = compressed_slices(images_of(range(9), 5, 6), JPEG2000Lossless, [noise] * 2)
    text = damaged(write_slices(tmp_path / "ct", slices))
    assert "its compressed pixels: ITK ERROR: GDCMImageIO" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("missing", "said"),
    [("SimpleITK", "compressed DICOM needs SimpleITK"), ("pydicom", "DICOM needs pydicom")],
)
def test_a_library_that_is_not_installed_is_named(tmp_path, monkeypatch, missing, said):
    slices = stored_slices(images_of(WORDS, 3, 5))
    for dataset in slices:
        dataset.compress(RLELossless)
    folder = write_slices(tmp_path / "ct", slices)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UserError, match=rf"{said}.*'regzoo\[dicom\]'"):
        read_dicom(folder)
