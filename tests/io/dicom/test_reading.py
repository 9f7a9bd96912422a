"""DICOM series as volumes: geometry, values, the choice of a series, and what is refused."""

from contextlib import suppress

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.uid import generate_uid
from support.dicom_cases import (
    OBLIQUE,
    analytic_slices,
    enhanced,
    with_rle,
    world_value,
    write_series,
    write_slices,
)

from zoo.errors import UserError
from zoo.io.dicom.image import image_files, read_dicom_header
from zoo.io.lps import FLIP
from zoo.io.volume import count_volumes, read_header, read_volume

FACING = {
    "axial": np.eye(3),
    "sagittal": np.array([[0.0, 0, -1], [1, 0, 0], [0, -1, 0]]),
    "feet first": np.diag([-1.0, 1, -1]),
    "oblique": OBLIQUE,
}


def lps_affine(volume):
    return (FLIP @ volume.grid.affine).numpy()


def check_analytic(volume, tolerance=0.51):
    """Compare every voxel with the world function at its position."""
    index = np.stack(np.meshgrid(*map(np.arange, volume.data.shape), indexing="ij"), -1)
    affine = lps_affine(volume)
    expected = world_value(index @ affine[:3, :3].T + affine[:3, 3])
    assert np.abs(volume.data.numpy() - expected).max() < tolerance


@pytest.mark.parametrize("name", FACING)
def test_every_voxel_of_a_series_is_at_its_position(tmp_path, name):
    affine = write_series(tmp_path / "ct", direction=FACING[name])
    volume = read_volume(tmp_path / "ct")
    assert volume.data.shape == (12, 9, 7)
    np.testing.assert_allclose(lps_affine(volume), affine, atol=1e-6)
    check_analytic(volume)


@pytest.mark.parametrize("name", FACING)
def test_grid_and_values_agree_with_simpleitk(tmp_path, name):
    write_series(tmp_path / "ct", direction=FACING[name])
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "ct")))
    image = reader.Execute()
    volume = read_volume(tmp_path / "ct")
    peer = sitk.GetArrayFromImage(image).transpose(2, 1, 0)
    np.testing.assert_array_equal(volume.data.numpy(), peer)
    index = [(0, 0, 0), (11, 3, 6), (5, 8, 1)]
    expected = [image.TransformIndexToPhysicalPoint(i) for i in index]
    affine = lps_affine(volume)
    found = np.array(index) @ affine[:3, :3].T + affine[:3, 3]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_one_file_means_its_series_and_other_files_are_ignored(tmp_path):
    write_series(tmp_path / "ct")
    (tmp_path / "ct" / "notes.txt").write_text("of the radiographer")
    one = sorted((tmp_path / "ct").glob("IM*"))[2]
    check_analytic(read_volume(one))
    assert len(image_files(one)) == 7


@pytest.mark.parametrize("compressed", [False, True])
def test_enhanced_multi_frame_objects_are_volumes(tmp_path, compressed):
    slices, affine = analytic_slices()
    path = tmp_path / "enhanced.dcm"
    enhanced(slices, compressed=compressed).save_as(path, enforce_file_format=True)
    volume = read_volume(path)
    np.testing.assert_allclose(lps_affine(volume), affine, atol=1e-6)
    check_analytic(volume)


def test_compressed_slices_have_the_values_of_uncompressed_ones(tmp_path):
    slices, _ = analytic_slices()
    write_slices(tmp_path / "ct", [with_rle(s) for s in slices])
    check_analytic(read_volume(tmp_path / "ct"))


def test_every_slice_is_rescaled_by_its_own_slope(tmp_path):
    slices, _ = analytic_slices()
    for k, dataset in enumerate(slices):
        factor = 1 + 0.5 * k
        stored = np.frombuffer(dataset.PixelData, "<u2").astype(float) - 1024
        dataset.PixelData = np.round(stored / factor + 1000).astype("<u2").tobytes()
        dataset.RescaleSlope, dataset.RescaleIntercept = f"{factor}", f"{-1000 * factor}"
        dataset.Modality = "PT"
    write_slices(tmp_path / "pet", slices)
    volume = read_volume(tmp_path / "pet")
    assert volume.data.is_floating_point()
    check_analytic(volume, tolerance=2.6)


def test_bits_above_the_stored_ones_are_left_out(tmp_path):
    slices, _ = analytic_slices()
    plain = [np.frombuffer(s.PixelData, "<u2") for s in slices]
    for dataset, pixels in zip(slices, plain, strict=True):
        dataset.BitsStored, dataset.HighBit = 12, 11
        dataset.PixelData = (pixels | 0x4000).astype("<u2").tobytes()  # an overlay in bit 14
    write_slices(tmp_path / "ct", slices)
    check_analytic(read_volume(tmp_path / "ct"))
    assert read_header(tmp_path / "ct").dtype == "int16"


def test_several_series_are_listed_and_one_is_chosen_by_its_uid(tmp_path):
    one, other = generate_uid(), generate_uid()
    write_series(tmp_path / "study" / "a", series=one)
    write_series(tmp_path / "study" / "b", series=other, shape=(10, 9, 5), SeriesDescription="Lung")
    with pytest.raises(UserError) as raised:
        read_volume(tmp_path / "study")
    text = str(raised.value)
    for part in (one, other, "'Thorax 2.0'", "'Lung'", "7 slices of 12 x 9", "5 slices of 10 x 9"):
        assert part in text
    assert f"study#{one}" in text or f"study#{other}" in text
    assert read_volume(f"{tmp_path}/study#{other}").data.shape == (10, 9, 5)
    with pytest.raises(UserError, match=r"has no series '1\.2'"):
        read_volume(f"{tmp_path}/study#1.2")


def refusal(folder, slices):
    write_slices(folder, slices)
    with pytest.raises(UserError) as raised:
        read_header(folder)
    return str(raised.value), raised.value.code


def test_a_gantry_tilt_is_refused_with_its_angle_and_shift(tmp_path):
    slices, _ = analytic_slices(direction=np.eye(3))
    for k, dataset in enumerate(slices):
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y + k * 2.5 * np.tan(np.radians(15)), z]
    text, code = refusal(tmp_path / "ct", slices)
    assert code == "gantry-tilt"
    assert "15.0 degrees" in text
    assert f"{6 * 2.5 * np.tan(np.radians(15)):.2f} mm" in text


def test_missing_slices_are_refused_with_the_place_of_the_gap(tmp_path):
    slices, _ = analytic_slices(direction=np.eye(3), shape=(12, 9, 10))
    text, code = refusal(tmp_path / "ct", slices[:4] + slices[6:])
    assert code == "missing-slices"
    assert "lacks about 2 slices" in text
    assert "7.50 mm between -25.50 and -18.00 mm" in text
    assert "..." not in text


def test_of_many_gaps_the_first_three_are_named(tmp_path):
    slices, _ = analytic_slices(direction=np.eye(3), shape=(12, 9, 20))
    text, _ = refusal(tmp_path / "ct", [s for k, s in enumerate(slices) if k not in (3, 7, 11, 15)])
    assert "lacks about 4 slices" in text
    assert text.count(" mm between ") == 3
    assert "mm, ..., along the normal" in text


def test_uneven_slices_are_refused_and_slightly_uneven_ones_noted(tmp_path):
    text, code = refusal(tmp_path / "a", analytic_slices(distances=[0, 2, 4, 6.6, 8.2, 10.1])[0])
    assert code == "uneven-slices"
    assert "vary from 1.600 to 2.600 mm" in text
    write_series(tmp_path / "b", distances=[0, 2, 4, 6.1, 8, 10])
    (warning,) = read_header(tmp_path / "b").warnings
    assert "up to 0.100 mm" in warning


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (("ImageOrientationPatient", [0, 1, 0, 0, 0, -1]), "mixed-orientations", "2 orientations"),
        (("PixelSpacing", [2, 2]), "mixed-sizes", "of 2 x 2 mm"),
        (("ImagePositionPatient", None), "header", "ImagePositionPatient"),
    ],
)
def test_a_slice_that_does_not_fit_is_refused(tmp_path, change, code, said):
    slices, _ = analytic_slices()
    if change[1] is None:
        delattr(slices[2], change[0])
    else:
        setattr(slices[2], *change)
    text, found = refusal(tmp_path / "ct", slices)
    assert found == code
    assert said in text


def test_the_slices_of_every_orientation_are_counted(tmp_path):
    slices, _ = analytic_slices()
    for k in (0, 2, 3):
        slices[k].ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    text, _ = refusal(tmp_path / "ct", slices)
    others = len(slices) - 3
    assert "3 slices along 0, 1, 0, 0, 0, -1" in text
    assert f"{others} slices along" in text


def test_slices_that_are_there_twice(tmp_path):
    slices, _ = analytic_slices()
    write_slices(tmp_path / "copied", slices)
    slices[3].save_as(tmp_path / "copied" / "copy.dcm")
    (warning,) = read_header(tmp_path / "copied").warnings
    assert warning.endswith("(same SOP Instance UID): 1")
    check_analytic(read_volume(tmp_path / "copied"))
    slices[3].SOPInstanceUID = generate_uid()
    slices[3].save_as(tmp_path / "copied" / "other.dcm")
    with pytest.raises(UserError, match="from 1 to 2 per position"):
        read_header(tmp_path / "copied")


def test_a_series_of_several_volumes_needs_the_number_of_one(tmp_path):
    series = generate_uid()
    for k in range(3):
        slices, _ = analytic_slices(series=series, TemporalPositionIdentifier=k + 1)
        for dataset in slices:
            stored = np.frombuffer(dataset.PixelData, "<u2") + 100 * k
            dataset.PixelData = stored.astype("<u2").tobytes()
        write_slices(tmp_path / "cine" / str(k), slices)
    with pytest.raises(
        UserError, match="has 3 volumes of 7 slices; choose one with --volume 0 to 2"
    ):
        read_volume(tmp_path / "cine")
    first, last = (read_volume(tmp_path / "cine", k) for k in (0, 2))
    check_analytic(first)
    assert set(np.unique(last.data.numpy() - first.data.numpy())) == {200}
    assert count_volumes(tmp_path / "cine") == 3
    with pytest.raises(UserError, match="--volume 3 does not exist"):
        read_volume(tmp_path / "cine", 3)


def test_pixels_of_8_bits_are_read_as_simpleitk_reads_them(tmp_path):
    slices, _ = analytic_slices(shape=(6, 4, 3))
    for dataset in slices:
        stored = np.frombuffer(dataset.PixelData, "<u2") % 251
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.PixelRepresentation = 0
        dataset.PixelData = stored.astype(np.uint8).tobytes()
    volume = read_volume(write_slices(tmp_path / "bytes", slices))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "bytes")))
    theirs = sitk.GetArrayFromImage(reader.Execute()).transpose(2, 1, 0)
    assert np.array_equal(volume.data.numpy(), theirs)


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="folder without DICOM images"):
        read_volume(tmp_path / "empty")
    slices, _ = analytic_slices(shape=(4, 4, 2))
    for dataset in slices:
        for keyword in ("Rows", "Columns", "PixelData"):
            delattr(dataset, keyword)
    write_slices(tmp_path / "contours", slices)
    with pytest.raises(UserError, match="2 DICOM files and none holds an image"):
        read_volume(tmp_path / "contours")


@pytest.mark.parametrize("seed", range(12))
def test_damaged_files_are_refused_or_read(tmp_path, seed):
    write_series(tmp_path / "ct", shape=(6, 5, 3))
    rng = np.random.default_rng(seed)
    path = sorted((tmp_path / "ct").iterdir())[seed % 3]
    content = bytearray(path.read_bytes())
    if seed % 2:
        content = content[: int(rng.integers(132, len(content)))]
    else:
        for k in rng.integers(132, len(content), 8):
            content[k] = rng.integers(256)
    path.write_bytes(content)
    with suppress(UserError):  # any other error fails the test
        assert read_volume(path).data.ndim == 3


def test_the_patient_is_known_and_never_printed(tmp_path):
    write_series(tmp_path / "ct")
    header = read_dicom_header(tmp_path / "ct")
    assert header.patient
    assert header.patient not in repr(header)
