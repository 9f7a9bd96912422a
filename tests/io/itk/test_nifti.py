import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from support.io_cases import GRIDS, inner_points, max_distance, smooth_field, smooth_transform

from zoo import UserError
from zoo.geometry import Grid, Transform
from zoo.io.itk.nifti import read_itk_nifti, write_itk_nifti
from zoo.io.lps import flip_field, grid_to_itk

GRID = GRIDS["oblique anisotropic LAS"]


def test_header_equals_that_of_simpleitk(tmp_path):
    write_itk_nifti(tmp_path / "ours.nii.gz", smooth_transform(GRID), GRID)
    image = sitk.GetImageFromArray(np.zeros((14, 17, 20, 3), np.float32), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "theirs.nii.gz"))
    ours, theirs = (nib.load(tmp_path / f"{k}.nii.gz").header for k in ("ours", "theirs"))
    for key in ("dim", "intent_code", "datatype", "xyzt_units"):
        assert np.array_equal(ours[key], theirs[key]), key


@pytest.mark.parametrize("kind", [sitk.sitkVectorFloat32, sitk.sitkVectorFloat64])
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_fields_of_simpleitk_are_read(tmp_path, grid, kind):
    field = smooth_field(grid)
    vectors = flip_field(field).permute(3, 2, 1, 0).numpy()
    image = sitk.Cast(sitk.GetImageFromArray(vectors, isVector=True), kind)
    origin, spacing, direction = grid_to_itk(grid)
    image.SetOrigin(origin.tolist())
    image.SetSpacing(spacing.tolist())
    image.SetDirection(direction.ravel().tolist())
    sitk.WriteImage(image, str(tmp_path / "a.nii.gz"))
    transform = read_itk_nifti(tmp_path / "a.nii.gz")
    torch.testing.assert_close(transform.field, field)
    assert transform.grid.same_as(grid, 1e-3)


def test_field_can_be_written_on_another_grid(tmp_path):
    """The field is exact at the voxels of the new grid."""
    transform = smooth_transform(GRID)
    other = Grid((9, 11, 8), GRIDS["slightly oblique LPS"].affine)
    write_itk_nifti(tmp_path / "a.nii.gz", transform, other)
    again = read_itk_nifti(tmp_path / "a.nii.gz")
    assert again.grid.same_as(other)
    index = torch.cartesian_prod(*[torch.arange(n, dtype=torch.float64) for n in other.shape])
    points = other.to_world(index)
    assert max_distance(again.map_points(points), transform.map_points(points)) < 1e-3


def test_affine_is_written_as_a_field(tmp_path):
    transform = Transform(smooth_transform(GRID).affine)
    write_itk_nifti(tmp_path / "a.nii.gz", transform, GRID)
    points = inner_points(GRID, margin=0)
    again = read_itk_nifti(tmp_path / "a.nii.gz")
    assert max_distance(again.map_points(points), transform.map_points(points)) < 1e-3


def write(path, data, intent):
    """Write an array whose affine is not that of any image."""
    image = nib.Nifti1Image(data, np.diag([2.0, 2.5, 3.0, 1.0]))
    image.set_sform(image.affine, 1)
    image.set_qform(image.affine, 1)
    image.header.set_xyzt_units("mm")
    image.header["intent_code"] = intent
    nib.save(image, path)


def test_components_are_those_of_nibabel_with_the_signs_of_ras(tmp_path):
    data = np.random.default_rng(0).normal(size=(5, 4, 3, 1, 3))
    write(tmp_path / "a.nii", data, 1007)
    transform = read_itk_nifti(tmp_path / "a.nii")
    expected = np.moveaxis(data[:, :, :, 0], -1, 0) * np.reshape([-1, -1, 1], (3, 1, 1, 1))
    assert transform.field.dtype == torch.float32
    assert np.array_equal(transform.field.numpy(), expected.astype(np.float32))
    assert transform.field.is_contiguous()
    assert torch.equal(transform.affine, torch.eye(4).double())
    assert torch.equal(transform.grid.affine.diag(), torch.tensor([2, 2.5, 3, 1]).double())


@pytest.mark.parametrize(
    "shape", [(5, 4, 3, 3), (5, 4, 3), (5, 4, 3, 1, 2), (5, 4, 3, 1, 4), (5, 4, 3, 2, 3)]
)
def test_other_shapes_are_refused(tmp_path, shape):
    write(tmp_path / "a.nii", np.zeros(shape, np.float32), 1007)
    with pytest.raises(UserError) as refusal:
        read_itk_nifti(tmp_path / "a.nii")
    assert f"a.nii has the shape {shape}; a displacement field is (X, Y, Z, 1, 3)" in str(
        refusal.value
    )


@pytest.mark.parametrize("intent", [0, 1006, 1008])
def test_other_intents_are_refused(tmp_path, intent):
    write(tmp_path / "a.nii", np.zeros((5, 4, 3, 1, 3), np.float32), intent)
    with pytest.raises(
        UserError, match=rf"intent code {intent},.* only 1007 \(vector\) is allowed"
    ):
        read_itk_nifti(tmp_path / "a.nii")


@pytest.mark.parametrize("kind", ["int16", "uint8", "int32"])
def test_fields_of_integers_are_refused(tmp_path, kind):
    write(tmp_path / "a.nii", np.zeros((5, 4, 3, 1, 3), kind), 1007)
    with pytest.raises(UserError, match=f"is of type {kind}; save the field as float32"):
        read_itk_nifti(tmp_path / "a.nii")


def test_a_field_with_nan_is_refused_with_its_voxel(tmp_path):
    data = np.zeros((5, 4, 3, 1, 3), np.float32)
    data[4, 3, 1, 0, 2] = np.nan
    write(tmp_path / "a.nii", data, 1007)
    with pytest.raises(UserError, match=r"a\.nii contains NaN or Inf .*at voxel \(4, 3, 1\)"):
        read_itk_nifti(tmp_path / "a.nii")
