from dataclasses import FrozenInstanceError
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from pydicom.uid import generate_uid
from support.dicom_cases import PATIENT, analytic_slices, write_slices
from support.io_cases import GRIDS

from zoo import UserError
from zoo.geometry import Grid
from zoo.io.volume import (
    Frames,
    ImageHeader,
    Volume,
    check_finite,
    count_volumes,
    read_frames,
    read_header,
    read_volume,
    write_frames,
    write_volume,
)

GRID = Grid.from_spacing((7, 6, 5), (1, 2, 3))
NUMBERS = torch.arange(210).reshape(7, 6, 5)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".nrrd"])
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_volumes_round_trip(tmp_path, grid, suffix):
    path = tmp_path / f"a{suffix}"
    data = torch.randint(-500, 2000, grid.shape, dtype=torch.int16)
    write_volume(path, data, grid)
    volume = read_volume(path)
    assert torch.equal(volume.data, data)
    assert volume.data.dtype == torch.int16
    assert volume.grid.same_as(grid, 1e-3)
    assert volume.path == path
    header = read_header(path)
    assert (header.dtype, header.grid.shape) == ("int16", grid.shape)
    assert header.grid.same_as(grid, 1e-3)


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".mhd", ".nrrd", ".nii"])
def test_volumes_of_simpleitk_keep_their_position(tmp_path, suffix):
    image = sitk.GetImageFromArray(np.random.default_rng(0).normal(size=(6, 7, 8)))
    turn = sitk.Euler3DTransform((0, 0, 0), 0.1, -0.2, 0.3)
    image.SetDirection(turn.GetMatrix())
    image.SetSpacing((1.2, 0.9, 2.5))
    image.SetOrigin((-40, 22, 13))
    sitk.WriteImage(image, str(tmp_path / f"a{suffix}"))
    volume = read_volume(tmp_path / f"a{suffix}")
    voxel = (5, 3, 2)
    x, y, z = image.TransformIndexToPhysicalPoint(voxel)
    ours = volume.grid.to_world(torch.tensor([voxel]))[0]
    torch.testing.assert_close(ours, torch.tensor([-x, -y, z]).double(), atol=1e-4, rtol=0)
    assert float(volume.data[voxel]) == image.GetPixel(voxel)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (torch.bool, "uint8"),
        (torch.uint8, "uint8"),
        (torch.int16, "int16"),
        (torch.int32, "int32"),
        (torch.int64, "int64"),
        (torch.float16, "float32"),
        (torch.bfloat16, "float32"),
        (torch.float32, "float32"),
        (torch.float64, "float64"),
    ],
)
def test_dtypes_of_torch_are_stored(tmp_path, given, stored):
    data = (NUMBERS % 2).to(given)
    write_volume(tmp_path / "a.nii.gz", data, GRID)
    assert read_header(tmp_path / "a.nii.gz").dtype == stored
    assert torch.equal(read_volume(tmp_path / "a.nii.gz").data.double(), data.double())


def test_floats_are_rounded_and_clipped_to_integers(tmp_path):
    data = torch.tensor([-40000.0, -1.6, 0.4, 40000.0]).repeat(2, 2, 1)
    grid = Grid.from_spacing((2, 2, 4))
    write_volume(tmp_path / "a.nii", data, grid, dtype=torch.int16)
    assert read_volume(tmp_path / "a.nii").data[0, 0].tolist() == [-32768, -2, 0, 32767]


@pytest.mark.parametrize(("low", "high"), [(-1, 255), (0, 256), (-2, 300)])
def test_integers_out_of_range_are_refused(tmp_path, low, high):
    data = NUMBERS.clone()
    data[6, 5, 4], data[1, 2, 3] = low, high
    with pytest.raises(ValueError, match=rf"values {low} to {high} do not fit torch\.uint8"):
        write_volume(tmp_path / "a.nii", data, GRID, dtype=torch.uint8)
    data[6, 5, 4], data[1, 2, 3] = 0, 255
    write_volume(tmp_path / "a.nii", data, GRID, dtype=torch.uint8)
    assert read_header(tmp_path / "a.nii").dtype == "uint8"
    assert torch.equal(read_volume(tmp_path / "a.nii").data.long(), data)


def test_views_with_gradients_are_written(tmp_path):
    data = torch.rand(5, 6, 7, requires_grad=True).permute(2, 1, 0)
    write_volume(tmp_path / "a.nii", data, GRID)
    assert torch.equal(read_volume(tmp_path / "a.nii").data, data.detach())


@pytest.mark.parametrize("shape", [(7, 6, 5, 1), (7, 6, 5, 1, 1)])
def test_trailing_axes_of_one_are_dropped(tmp_path, shape):
    image = nib.Nifti1Image(NUMBERS.numpy().astype(np.int16).reshape(shape), np.eye(4))
    image.set_sform(np.eye(4), 1)
    nib.save(image, tmp_path / "a.nii.gz")
    assert torch.equal(read_volume(tmp_path / "a.nii.gz").data, NUMBERS.to(torch.int16))
    assert read_header(tmp_path / "a.nii.gz").grid.shape == (7, 6, 5)


def test_data_must_fit_the_grid(tmp_path):
    with pytest.raises(ValueError, match="do not fit a grid"):
        write_volume(tmp_path / "a.nii", NUMBERS[1:], GRID)


def test_unknown_suffix_is_refused_with_the_allowed_ones(tmp_path):
    with pytest.raises(UserError, match=r"\.nii\.gz, \.nii, \.mha or \.nrrd"):
        write_volume(tmp_path / "a.tiff", NUMBERS, GRID)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [-1, 3, 7])
def test_a_volume_that_a_series_does_not_have_is_refused(tmp_path, number):
    data = np.arange(7 * 6 * 5 * 3, dtype=np.int16).reshape(7, 6, 5, 3)
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(UserError, match=f"volume {number} does not exist; use 0 to 2"):
        read_volume(tmp_path / "a.nii", number)
    chosen = read_volume(tmp_path / "a.nii", 2).data
    assert torch.equal(chosen, torch.from_numpy(data[..., 2].copy()))


def test_the_number_of_a_volume_has_no_effect_on_one_volume(tmp_path):
    write_volume(tmp_path / "a.nii", NUMBERS, GRID)
    assert torch.equal(read_volume(tmp_path / "a.nii", 4).data, NUMBERS)


@pytest.mark.parametrize("count", [2, 3])
def test_a_series_has_at_least_two_volumes(tmp_path, count):
    values = np.random.default_rng(0).random((4, 5, 3, count)).astype(np.float32)
    nib.Nifti1Image(values, np.eye(4)).to_filename(tmp_path / "series.nii")
    np.testing.assert_array_equal(read_frames(tmp_path / "series.nii").data, values)
    nib.Nifti1Image(values[..., 0], np.eye(4)).to_filename(tmp_path / "one.nii")
    with pytest.raises(UserError, match="has one volume"):
        read_frames(tmp_path / "one.nii")


@pytest.mark.parametrize(("unit", "stored"), [("sec", 2.5), ("msec", 2500), ("usec", 2.5e6)])
def test_the_time_between_the_volumes_of_a_series_is_in_seconds(tmp_path, unit, stored):
    image = nib.Nifti1Image(np.zeros((4, 5, 6, 3), np.int16), np.eye(4))
    image.header.set_xyzt_units("mm", unit)
    image.header["pixdim"][4] = stored
    image.to_filename(tmp_path / "series.nii")
    assert read_frames(tmp_path / "series.nii").seconds == pytest.approx(2.5)
    with pytest.raises(UserError, match=r"choose one with --volume 0 to 2, or save"):
        read_volume(tmp_path / "series.nii")


def save(path, data):
    nib.Nifti1Image(data, np.eye(4)).to_filename(path)
    return path


def numbered(shape, dtype=np.int16):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_each_volume_of_a_series_can_be_chosen(tmp_path, count):
    data = numbered((7, 6, 5, count))
    for name in ("a.nii", "a.nii.gz"):
        save(tmp_path / name, data)
        assert count_volumes(tmp_path / name) == count
        for k in range(count):
            chosen = read_volume(tmp_path / name, k)
            assert np.array_equal(chosen.data, data[..., k])
            assert read_header(tmp_path / name, k).grid.same_as(chosen.grid)
            assert chosen.grid.shape == (7, 6, 5)


@pytest.mark.parametrize(
    ("shape", "pattern"),
    [
        ((12, 10), r"is not three-dimensional: its shape is \(12, 10\); a volume needs at least"),
        ((1, 5, 4), r"is not three-dimensional: its shape is \(1, 5, 4\)"),
        ((6, 1, 4), r"is not three-dimensional: its shape is \(6, 1, 4\)"),
        ((6, 5, 1), r"is not three-dimensional: its shape is \(6, 5, 1\)"),
        ((6, 5, 4, 2), r"has several volumes \(shape \(6, 5, 4, 2\)\).*--volume 0 to 1, or save"),
        ((6, 5, 4, 2, 3), r"has several volumes \(shape \(6, 5, 4, 2, 3\)\).*--volume 0 to 1"),
        ((6, 5, 4, 1, 1, 2), r"has several volumes \(shape \(6, 5, 4, 1, 1, 2\)\)"),
        ((6, 5, 4, 1, 2), r"is a vector field of shape \(6, 5, 4, 1, 2\), not a volume"),
        ((6, 5, 4, 1, 3), r"is a vector field of shape \(6, 5, 4, 1, 3\), not a volume"),
    ],
)
def test_other_shapes_than_one_volume_are_refused(tmp_path, shape, pattern):
    path = save(tmp_path / "a.nii", numbered(shape))
    for read in (read_volume, read_header):
        with pytest.raises(UserError, match=pattern) as refusal:
            read(path)
        assert str(path) in str(refusal.value)
    assert count_volumes(path) == (shape[3] if len(shape) == 4 else 1)


@pytest.mark.parametrize("size", [(1, 5, 4), (6, 1, 4), (6, 5, 1)])
def test_an_itk_image_of_one_slice_is_refused(tmp_path, size):
    sitk.WriteImage(sitk.Image(size, sitk.sitkUInt8), str(tmp_path / "a.mha"))
    assert count_volumes(tmp_path / "a.mha") == 1
    for read in (read_volume, read_header):
        with pytest.raises(UserError, match="is not three-dimensional: its shape is"):
            read(tmp_path / "a.mha")


@pytest.mark.parametrize("suffix", [".nii", ".mha"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused_with_the_first_voxel(tmp_path, suffix, value):
    data = NUMBERS.double()
    data[3, 1, 2] = data[3, 2, 1] = data[5, 0, 4] = value
    write_volume(tmp_path / f"a{suffix}", data, GRID)
    assert read_header(tmp_path / f"a{suffix}").dtype == "float64"
    pattern = rf"\(3 of 210 values; the first is {value} at voxel \(3, 1, 2\)\)"
    with pytest.raises(UserError, match=pattern):
        read_volume(tmp_path / f"a{suffix}")


def test_the_first_voxel_of_a_field_that_is_not_finite_is_named():
    field = torch.zeros(3, 7, 6, 5)
    check_finite(Path("field.h5"), field)
    field[2, 4, 1, 3] = torch.nan
    with pytest.raises(UserError, match=r"field\.h5 .*\(1 of 630 .*at voxel \(4, 1, 3\)\)"):
        check_finite(Path("field.h5"), field)


def test_a_series_with_numbers_that_are_not_finite_is_refused_with_the_voxel(tmp_path):
    data = numbered((7, 6, 5, 4), np.float32)
    data[6, 2, 1, 3] = data[0, 4, 3, 2] = np.inf
    with pytest.raises(UserError, match=r"2 of 840 .*the first is inf at voxel \(0, 4, 3\)"):
        read_frames(save(tmp_path / "series.nii", data))


def test_a_series_of_slices_is_refused(tmp_path):
    path = save(tmp_path / "series.nii", numbered((7, 6, 1, 4)))
    with pytest.raises(UserError, match=r"its shape is \(7, 6, 1, 4\)"):
        read_frames(path)


@pytest.mark.parametrize(
    ("unit", "stored", "seconds"),
    [
        (0, 0.5, 0.5),
        (8, 0.5, 0.5),
        (8, 1, 1),
        (8, 0, None),
        (8, -2, None),
        (8, np.nan, None),
        (8, np.inf, None),
        (8, 999_999.5, 999_999.5),
        (8, 1_000_000, None),
        (16, 999_999.5, 999.9995),
        (24, 500_000, 0.5),
        (32, 3, 3),
    ],
)
def test_an_implausible_time_between_volumes_is_unknown(tmp_path, unit, stored, seconds):
    path = save(tmp_path / "series.nii", numbered((4, 5, 6, 2)))
    content = bytearray(path.read_bytes())
    content[92:96] = np.float32(stored).tobytes()  # pixdim[4]
    content[123] = unit + 2  # xyzt_units: with mm
    path.write_bytes(content)
    assert read_frames(path).seconds == (seconds if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("seconds", [None, 2.5])
def test_a_series_is_written_with_its_grid_and_its_time(tmp_path, seconds):
    grid = GRIDS["oblique anisotropic LAS"]
    data = torch.rand(*grid.shape, 3)
    write_frames(tmp_path / "a.nii.gz", Frames(data, grid, Path("a"), seconds))
    image = nib.load(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(image.affine, grid.affine, atol=1e-5)
    assert image.header.get_xyzt_units() == ("mm", "sec")
    assert image.header.get_zooms()[3] == (1 if seconds is None else seconds)
    again = read_frames(tmp_path / "a.nii.gz")
    assert torch.equal(again.data, data)
    assert again.seconds == (1 if seconds is None else seconds)
    assert again.grid.same_as(grid, 1e-3)


def test_the_volumes_of_a_dicom_series_are_stacked_along_the_last_axis(tmp_path):
    series = generate_uid()
    for k, shift in enumerate((0, 300)):
        slices, _ = analytic_slices(
            shape=(5, 4, 3), series=series, TemporalPositionIdentifier=k + 1
        )
        for dataset in slices:
            stored = np.frombuffer(dataset.PixelData, "<u2") + shift
            dataset.PixelData = stored.astype("<u2").tobytes()
        write_slices(tmp_path / "cine" / str(k), slices)
    frames = read_frames(tmp_path / "cine")
    assert frames.data.shape == (5, 4, 3, 2)
    assert torch.equal(frames.data[..., 1] - frames.data[..., 0], torch.full((5, 4, 3), 300))
    assert torch.equal(frames.data[..., 1], read_volume(tmp_path / "cine", 1).data)
    assert frames.seconds is None
    assert count_volumes(tmp_path / "cine") == 2
    header = read_header(tmp_path / "cine", 1)
    assert (header.modality, header.body_part) == ("CT", "CHEST")
    assert f"torch.{header.dtype}" == str(frames.data.dtype)
    assert header.patient == PATIENT
    assert PATIENT not in repr(header)
    assert header.grid.same_as(frames.grid)
    assert header.path == frames.path == tmp_path / "cine"


def test_a_folder_without_dicom_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    for read in (read_volume, read_header, count_volumes, read_frames):
        with pytest.raises(UserError, match="is a folder without DICOM images; give the name"):
            read(tmp_path)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ImageHeader(Path("a"), GRID, "int16"),
        lambda: Volume(NUMBERS, GRID, Path("a")),
        lambda: Frames(NUMBERS[..., None], GRID, Path("a")),
    ],
    ids=["ImageHeader", "Volume", "Frames"],
)
def test_what_was_read_cannot_be_changed_and_equals_only_itself(make):
    first, second = make(), make()
    assert first == first
    assert first != second
    assert len({first, second}) == 2
    with pytest.raises(FrozenInstanceError):
        first.path = Path("b")
