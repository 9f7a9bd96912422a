"""Which slices are of one volume: their sizes and pixel types, repetitions, several volumes."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from support.dicom_cases import enhanced, small_slices, write_slices

from zoo.errors import UserError
from zoo.io.dicom.image import read_dicom, read_dicom_header
from zoo.io.volume import count_volumes


def opened(folder, slices):
    """Write slices and return their header as read."""
    return read_dicom_header(write_slices(folder, slices))


def refusal(folder, slices, code=None):
    """Return the message with which slices are refused."""
    with pytest.raises(UserError) as raised:
        opened(folder, slices)
    assert raised.value.code == code
    assert str(folder) in str(raised.value)
    return str(raised.value)


def test_sizes_that_differ_after_the_fourth_decimal_are_one(tmp_path):
    slices = small_slices(3)
    slices[1].PixelSpacing = ["1.50004", "0.75"]
    assert opened(tmp_path / "ct", slices).grid.shape == (4, 3, 3)


def test_slices_of_each_size_are_counted(tmp_path):
    slices = small_slices(6)
    for k in (1, 4):
        slices[k].PixelSpacing = ["1.5002", "0.75"]
    text = refusal(tmp_path / "ct", slices, "mixed-sizes")
    assert "slices of 2 sizes (" in text
    assert "4 of 4 x 3 pixels of 1.5 x 0.75 mm" in text
    assert "2 of 4 x 3 pixels of 1.5002 x 0.75 mm" in text


def test_five_sizes_are_listed(tmp_path):
    slices = small_slices(7)
    for k, dataset in enumerate(slices):
        dataset.Rows = 3 + k
    text = refusal(tmp_path / "ct", slices, "mixed-sizes")
    assert "slices of 7 sizes" in text
    assert text.count(" pixels of 1.5 x 0.75 mm") == 5


def test_sizes_are_told_apart_without_a_distance_between_pixels(tmp_path):
    slices = small_slices(3)
    slices[1].Columns = 5
    for dataset in slices:
        del dataset.PixelSpacing
    text = refusal(tmp_path / "ct", slices, "mixed-sizes")
    assert "(2 of 4 x 3 pixels; 1 of 5 x 3 pixels)" in text


@pytest.mark.parametrize(
    "changed",
    [
        {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7},
        {"PixelRepresentation": 1},
        {"PhotometricInterpretation": "MONOCHROME1"},
    ],
)
def test_slices_of_several_pixel_types_are_refused(tmp_path, changed):
    slices = small_slices(3)
    for keyword, value in changed.items():
        setattr(slices[1], keyword, value)
    assert "slices of several pixel types" in refusal(tmp_path / "ct", slices)


@pytest.mark.parametrize(
    ("samples", "photometric"), [(3, "RGB"), (3, "MONOCHROME2"), (1, "PALETTE COLOR"), (2, "OTHER")]
)
def test_colours_are_refused(tmp_path, samples, photometric):
    slices = small_slices(
        3, SamplesPerPixel=samples, PhotometricInterpretation=photometric, PlanarConfiguration=0
    )
    text = refusal(tmp_path / "ct", slices, "voxels-colour")
    assert f"has {samples} samples per pixel ({photometric})" in text


@pytest.mark.parametrize("bits", [1, 7, 9, 12, 15, 17, 24, 31, 33, 64])
def test_pixels_of_other_than_8_16_and_32_bits_are_refused(tmp_path, bits):
    slices = small_slices(3, BitsAllocated=bits, BitsStored=1)
    assert f"has pixels of {bits} bits; allowed are 8, 16 and 32" in refusal(
        tmp_path / "ct", slices
    )


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_no_more_bits_are_stored_than_allocated(tmp_path, bits):
    for stored in (1, bits - 1, bits):
        slices = small_slices(3, BitsAllocated=bits, BitsStored=stored)
        assert opened(tmp_path / str(stored), slices).grid.shape == (4, 3, 3)
    slices = small_slices(3, BitsAllocated=bits, BitsStored=bits + 1)
    assert f"has pixels of {bits} bits" in refusal(tmp_path / "more", slices)


def test_of_files_that_are_there_several_times_only_the_repetitions_are_left_out(tmp_path):
    slices = small_slices(4)
    write_slices(tmp_path / "ct", slices)
    for name in ("A1", "A2"):  # these are read first
        slices[1].save_as(tmp_path / "ct" / name)
    header = read_dicom_header(tmp_path / "ct")
    assert header.grid.shape == (4, 3, 4)
    assert header.warnings[0].endswith("(same SOP Instance UID): 2")


def test_files_without_a_sop_instance_are_no_repetitions(tmp_path):
    slices = small_slices(4)
    (tmp_path / "ct").mkdir()
    for k, dataset in enumerate(slices):
        del dataset.SOPInstanceUID
        del dataset.file_meta.MediaStorageSOPInstanceUID
        dataset.save_as(tmp_path / "ct" / str(k))
    header = read_dicom_header(tmp_path / "ct")
    assert header.grid.shape == (4, 3, 4)
    assert header.warnings == ()


def several_volumes(distances, count=2, **options):
    """Return the slices of `count` volumes at the same distances; their values are apart by 100."""
    series, out = generate_uid(), []
    for k in range(count):
        slices = small_slices(distances=distances, series=series, **options)
        for dataset in slices:
            dataset.AcquisitionNumber = k + 1
            stored = np.frombuffer(dataset.PixelData, "<u2") + 100 * k
            dataset.PixelData = stored.astype("<u2").tobytes()
        out += slices
    return out


@pytest.mark.parametrize("origin", [(-20.0, 14.0, -33.0), (20.0, -14.0, 33.0)])
def test_two_volumes_are_told_apart(tmp_path, origin):
    folder = write_slices(tmp_path / "ct", several_volumes([0, 2, 4], origin=origin))
    assert count_volumes(folder) == 2
    first, second = (read_dicom(folder, k)[0] for k in (0, 1))
    assert np.array_equal(second, first + 100)
    for number in (-1, 2):
        with pytest.raises(UserError, match=f"has 2 volumes, so --volume {number} does not exist; "
                           "use 0 to 1"):  # fmt: skip
            read_dicom(folder, number)
    with pytest.raises(
        UserError, match="has 2 volumes of 3 slices; choose one with --volume 0 to 1"
    ):
        read_dicom(folder)


def test_the_number_of_a_single_volume_makes_no_difference(tmp_path):
    folder = write_slices(tmp_path / "ct", small_slices(3))
    assert count_volumes(folder) == 1
    assert np.array_equal(read_dicom(folder, 0)[0], read_dicom(folder)[0])
    assert np.array_equal(read_dicom(folder, 5)[0], read_dicom(folder)[0])


@pytest.mark.parametrize(
    ("apart", "volumes", "code"), [(0.008, 2, "several-volumes"), (0.012, 1, "missing-slices")]
)
def test_slices_within_a_hundredth_of_a_millimetre_are_at_one_position(
    tmp_path, apart, volumes, code
):
    distances = [0, apart, 2, 2 + apart, 4, 4 + apart]
    refusal(tmp_path / "ct", small_slices(distances=distances), code)
    assert count_volumes(tmp_path / "ct") == volumes


def test_a_position_begins_with_its_first_slice(tmp_path):
    slices = small_slices(distances=[0, 0.006, 0.012])
    text = refusal(tmp_path / "ct", slices, "repeated-slices")
    assert "has 3 slices at 2 positions, from 1 to 2 per position" in text


def test_the_position_with_most_slices_is_named(tmp_path):
    slices = small_slices(distances=[0, 2, 4, 4, 6])
    text = refusal(tmp_path / "ct", slices, "repeated-slices")
    assert "has 5 slices at 4 positions, from 1 to 2 per position (most at -29.00 mm" in text


def test_frames_of_one_file_with_two_distances_between_pixels_are_counted(tmp_path):
    dataset = enhanced(small_slices(4))
    measures = Dataset()
    measures.PixelSpacing = ["9", "0.75"]
    dataset.PerFrameFunctionalGroupsSequence[2].PixelMeasuresSequence = [measures]
    (tmp_path / "ct").mkdir()
    dataset.save_as(tmp_path / "ct" / "a.dcm", enforce_file_format=True)
    assert "slices of 2 sizes" in refusal(tmp_path / "ct", [], "mixed-sizes")
