import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from support.io_cases import GRIDS, inner_points, max_distance, smooth_field, smooth_transform

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
