import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from support.io_cases import GRIDS

from zoo import UserError
from zoo.geometry import Grid
from zoo.io.volume import read_frames, read_header, read_volume, write_volume

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


def test_integers_out_of_range_are_refused(tmp_path):
    with pytest.raises(ValueError, match="do not fit"):
        write_volume(tmp_path / "a.nii", NUMBERS + 100, GRID, dtype=torch.uint8)
    write_volume(tmp_path / "a.nii", NUMBERS, GRID, dtype=torch.uint8)
    assert read_header(tmp_path / "a.nii").dtype == "uint8"


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
