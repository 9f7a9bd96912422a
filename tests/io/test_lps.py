import numpy as np
import pytest
import SimpleITK as sitk
import torch
from support.io_cases import AFFINE, GRIDS

from zoo.io.lps import flip_affine, flip_field, flip_points, grid_from_itk, grid_to_itk


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_grids_agree_with_simpleitk_and_round_trip(grid):
    origin, spacing, direction = grid_to_itk(grid)
    np.testing.assert_allclose(direction.T @ direction, np.eye(3), atol=1e-9)
    image = sitk.Image(grid.shape, sitk.sitkUInt8)
    image.SetOrigin(origin.tolist())
    image.SetSpacing(spacing.tolist())
    image.SetDirection(direction.ravel().tolist())
    x, y, z = image.TransformIndexToPhysicalPoint((3, 2, 1))
    np.testing.assert_allclose(grid.to_world(torch.tensor([[3, 2, 1]]))[0], [-x, -y, z], atol=1e-9)
    for given in (direction, direction.ravel().tolist()):
        assert grid_from_itk(grid.shape, origin, spacing, given).same_as(grid, 1e-9)


def test_affines_points_and_fields_are_converted_consistently():
    points = torch.tensor([[1.0, 2, 3], [-4, 5, 6]], dtype=torch.float64)
    mapped = points @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    other = flip_affine(AFFINE)
    theirs = flip_points(points) @ other[:3, :3].T + other[:3, 3]
    torch.testing.assert_close(flip_points(theirs), mapped)
    field = points.T.reshape(3, 2, 1, 1)
    torch.testing.assert_close(flip_field(field).reshape(3, 2).T, flip_points(points))


def test_the_signs_of_x_and_y_change_in_the_type_that_was_given():
    points = torch.tensor([[1.0, -2, 3], [4, 5, -6]])
    assert flip_points(points).tolist() == [[-1, 2, 3], [-4, -5, -6]]
    field = torch.arange(24.0).reshape(3, 4, 2, 1)
    flipped = flip_field(field)
    assert torch.equal(flipped, torch.stack([-field[0], -field[1], field[2]]))
    assert flipped.dtype == flip_points(points).dtype == torch.float32
    assert flip_affine(AFFINE.float()).dtype == torch.float64
