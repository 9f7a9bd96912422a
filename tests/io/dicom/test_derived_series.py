"""Derived DICOM series: what their headers say, how values are stored, and what is refused."""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import torch
from support.dicom_cases import OBLIQUE, small_slices, world_value, write_slices

from zoo.errors import UserError
from zoo.geometry import Grid
from zoo.io.dicom.derived import is_series_name, write_derived_series
from zoo.io.dicom.image import read_dicom
from zoo.io.lps import FLIP

SHAPE = (5, 4, 3)
CT, MR, SECONDARY = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2", "4", "7"))


def grid_of(spacing=(0.75, 1.5, 2.5), *, mirrored=False):
    """Return an oblique grid; a mirrored one is left-handed."""
    affine = torch.eye(4, dtype=torch.float64)
    affine[:3, :3] = torch.from_numpy(OBLIQUE * spacing * [1, 1, -1 if mirrored else 1])
    affine[:3, 3] = torch.tensor([-20.0, 14.0, -33.0])
    return Grid(SHAPE, FLIP @ affine)


@pytest.fixture
def study(tmp_path):
    """A fixed and a moving series of studies of their own."""
    for name in ("fixed", "moving"):
        write_slices(tmp_path / name, small_slices(2))
    return tmp_path


def derived(study, data, grid=None, *, name="warped", moving=None):
    """Write a derived series; return its slices in the order of the names of their files.

    `moving` are attributes of the moving series; one of None is removed.
    """
    for path in (study / "moving").iterdir():
        dataset = pydicom.dcmread(path)
        for keyword, value in (moving or {}).items():
            setattr(dataset, keyword, value)
            if value is None:
                delattr(dataset, keyword)
        dataset.save_as(path)
    write_derived_series(study / name, data, grid or grid_of(), study / "fixed", study / "moving")
    return [pydicom.dcmread(path) for path in sorted((study / name).iterdir())]


def zeros(dtype=torch.int16):
    return torch.zeros(SHAPE, dtype=dtype)


@pytest.mark.parametrize("spacing", [(0.75, 1.5, 2.5), (0.3, 0.4, 0.5)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_every_voxel_is_where_it_was_on_the_grid(study, spacing, mirrored):
    grid = grid_of(spacing, mirrored=mirrored)
    index = torch.cartesian_prod(*[torch.arange(float(n)) for n in SHAPE])
    points = grid.to_world(index).numpy() * [-1, -1, 1]
    values = np.round(50 * world_value(points)).astype(np.int16)
    data = torch.from_numpy(values).reshape(SHAPE)
    derived(study, data, grid)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(study / "warped")))
    image = reader.Execute()
    for point, value in zip(points.tolist(), values.tolist(), strict=True):
        assert image.GetPixel(image.TransformPhysicalPointToIndex(point)) == value
    np.testing.assert_allclose(image.GetSpacing(), spacing, atol=1e-6)


def test_the_slices_are_numbered_files_of_one_series_in_the_fixed_study(study):
    slices = derived(study, zeros())
    names = [path.name for path in sorted((study / "warped").iterdir())]
    assert names == ["IM00001.dcm", "IM00002.dcm", "IM00003.dcm"]
    assert sorted(path.name for path in study.iterdir()) == ["fixed", "moving", "warped"]
    fixed, moving = (pydicom.dcmread(next((study / n).iterdir())) for n in ("fixed", "moving"))
    assert len({one.SeriesInstanceUID for one in slices}) == 1
    assert len({one.SOPInstanceUID for one in slices}) == 3
    for k, one in enumerate(slices):
        assert (one.InstanceNumber, one.SeriesNumber) == (k + 1, 1)
        assert one.StudyInstanceUID == fixed.StudyInstanceUID
        assert one.FrameOfReferenceUID == fixed.FrameOfReferenceUID
        assert (one.SliceThickness, one.PixelSpacing) == (2.5, [1.5, 0.75])
        assert one.file_meta.FileMetaInformationVersion == b"\0\1"
        (own,) = one.ReferencedSeriesSequence
        (other,) = one.StudiesContainingOtherReferencedInstancesSequence
        assert own.SeriesInstanceUID == fixed.SeriesInstanceUID
        assert other.ReferencedSeriesSequence[0].SeriesInstanceUID == moving.SeriesInstanceUID


@pytest.mark.parametrize(
    ("modality", "said", "sop_class", "kind"),
    [
        ("CT", "CT", CT, "AXIAL"),
        ("MR", "MR", MR, "OTHER"),
        ("CR", "CR", SECONDARY, "OTHER"),
        ("PT", "PT", SECONDARY, "OTHER"),
        (None, "OT", SECONDARY, "OTHER"),
    ],
)
def test_the_slices_have_the_modality_of_the_moving_series(study, modality, said, sop_class, kind):
    one = derived(study, zeros(), moving={"Modality": modality})[0]
    assert (one.Modality, one.SOPClassUID) == (said, sop_class)
    assert one.ImageType == ["DERIVED", "SECONDARY", kind]
    assert one.get("RescaleType") == ("HU" if modality == "CT" else None)
    assert ("KVP" in one) == ("AcquisitionNumber" in one) == (modality == "CT")
    assert ("ScanningSequence" in one) == ("EchoTime" in one) == (modality == "MR")


@pytest.mark.filterwarnings("ignore:.*maximum length:UserWarning")
def test_the_body_part_is_that_of_the_moving_series_in_16_characters(study):
    one = derived(study, zeros(), moving={"BodyPartExamined": "ABCDEFGHIJKLMNOPQRST"})[0]
    assert one.BodyPartExamined == "ABCDEFGHIJKLMNOP"


def with_limits(low, high, dtype):
    """Return data with these smallest and largest values."""
    data = torch.linspace(0, 1, 60, dtype=torch.float64) * (high - low) + low
    data = data if dtype.is_floating_point else data.round()
    return data.to(dtype).reshape(SHAPE)


@pytest.mark.parametrize(
    ("low", "high", "dtype", "as_they_are"),
    [
        (-32768, 32767, torch.int32, True),
        (-5, 7, torch.int64, True),
        (0, 255, torch.uint8, True),
        (-32769, 32767, torch.int32, False),
        (-32768, 32768, torch.int32, False),
        (-1, 1 << 20, torch.int32, False),
        (-32768, 32767, torch.float32, False),
        (-3.5, 812.25, torch.float64, False),
        (1e-6, 3e-6, torch.float64, False),
        (3.25, 3.25, torch.float32, False),
    ],
)
def test_integers_of_16_bits_are_stored_as_they_are_and_other_values_are_scaled(
    study, low, high, dtype, as_they_are
):
    data = with_limits(low, high, dtype)
    slices = derived(study, data)
    for one in slices:
        assert (one.BitsAllocated, one.BitsStored, one.HighBit) == (16, 16, 15)
        assert (one.SamplesPerPixel, one.PhotometricInterpretation) == (1, "MONOCHROME2")
        assert (one.Rows, one.Columns) == (4, 5)
        assert one.PixelRepresentation == int(as_they_are)
        assert len(str(one.RescaleSlope)) <= 16
        assert len(str(one.RescaleIntercept)) <= 16
    slope, intercept = float(slices[0].RescaleSlope), float(slices[0].RescaleIntercept)
    stored = np.stack([one.pixel_array.T.astype(float) for one in slices], axis=-1)
    if as_they_are:
        assert (slope, intercept) == (1, 0)
        np.testing.assert_array_equal(stored, data)
        return
    if low == high:
        assert (slope, intercept) == (1, low)
    else:
        assert (stored.min(), stored.max()) == (0, 65535)  # all 16 bits are used
    error = np.abs(stored * slope + intercept - data.double().numpy()).max()
    assert error <= 0.5001 * slope
    np.testing.assert_allclose(read_dicom(study / "warped")[0], data, atol=slope)


def test_a_name_without_a_suffix_is_that_of_a_series():
    assert is_series_name("out/warped") is True
    assert is_series_name("warped.nii.gz") is False


@pytest.mark.parametrize("changed", ["fixed", "moving", "both", "none"])
def test_both_images_must_be_dicom_series(study, changed):
    volume = study / "a.nii.gz"
    volume.write_bytes(b"n" * 200)
    fixed, moving = study / "fixed", study / "moving"
    fixed = {"fixed": volume, "both": volume, "none": None}.get(changed, fixed)
    moving = volume if changed in ("moving", "both") else moving
    with pytest.raises(UserError, match=r"out has no suffix, .* which needs --fixed"):
        write_derived_series(study / "out", zeros(), grid_of(), fixed, moving)
    assert not (study / "out").exists()


def test_a_folder_that_exists_or_cannot_be_made_is_refused(study):
    with pytest.raises(UserError, match="fixed exists already; give the name of a new folder"):
        write_derived_series(study / "fixed", zeros(), grid_of(), study / "fixed", study / "moving")
    with pytest.raises(UserError, match=r"cannot write .*/out: there is no folder .*/missing"):
        write_derived_series(
            study / "missing" / "out", zeros(), grid_of(), study / "fixed", study / "moving"
        )
