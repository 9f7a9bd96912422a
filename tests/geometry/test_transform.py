import pytest
import SimpleITK as sitk
import torch
from support.transform_cases import (
    itk_points,
    itk_transform,
    points_about,
    some_affine,
    some_transform,
)

from zoo.geometry import Grid, Transform, warp
from zoo.synthesis.phantom import SmoothMap, placed_grid, true_transform


def test_map_points_agrees_with_simpleitk(grid):
    transform = some_transform(grid)
    points = points_about(grid)
    expected = itk_points(itk_transform(transform), points)
    assert (transform.map_points(points) - expected).abs().max() < 1e-4


def test_identity_and_affine_map_points_exactly():
    points = torch.randn(10, 3, dtype=torch.float64)
    assert torch.equal(Transform.identity().map_points(points), points)
    expected = points @ some_affine()[:3, :3].T + some_affine()[:3, 3]
    assert torch.allclose(Transform(some_affine()).map_points(points), expected)


def test_from_voxels_moves_points_by_voxels_of_the_grid(grid):
    """One voxel along array axis k is column k of the affine, for any orientation."""
    for k in range(3):
        step = torch.zeros(3, *grid.shape)
        step[k] = 2
        index = torch.rand(20, 3, dtype=torch.float64) * 15
        moved = Transform.from_voxels(step, grid).map_points(grid.to_world(index))
        index[:, k] += 2
        assert torch.allclose(moved, grid.to_world(index), atol=1e-4)


def test_moving_index_agrees_with_map_points(grid):
    moving = placed_grid((17, 25, 31), (2, 1, 1.2), "SAR", 10)
    transform = some_transform(placed_grid((12, 13, 14), (3, 3, 3), "LAS", -15))
    index = transform.moving_index(grid, moving, 3, 9)
    voxels = torch.cartesian_prod(*[torch.arange(n) for n in grid.shape]).double()
    rows = voxels[(voxels[:, 0] >= 3) & (voxels[:, 0] < 9)]
    expected = moving.to_index(transform.map_points(grid.to_world(rows)))
    assert (index[0].flatten(1).T - expected).abs().max() < 1e-3


def test_dense_on_represents_the_same_transform(grid):
    transform = some_transform(grid)
    dense = transform.dense_on(grid)
    assert torch.equal(dense.affine, torch.eye(4, dtype=torch.float64))
    points = points_about(grid, reach=0.88)
    assert (dense.map_points(points) - transform.map_points(points)).abs().max() < 1e-3


def test_then_applies_the_second_transform_after_the_first(grid):
    first, second = some_transform(grid, 1), some_transform(grid, 2)
    both = first.then(second)
    voxels = torch.cartesian_prod(*[torch.arange(n) for n in grid.shape]).double()
    points = grid.to_world(voxels)
    expected = second.map_points(first.map_points(points))
    assert (both.map_points(points) - expected).abs().max() < 1e-3


@pytest.mark.parametrize("dense", [(True, False), (False, True), (False, False)])
def test_then_composes_affine_with_dense(grid, dense):
    first, second = (some_transform(grid) if d else Transform(some_affine()) for d in dense)
    both = first.then(second)
    voxels = torch.cartesian_prod(*[torch.arange(n) for n in grid.shape]).double()
    points = grid.to_world(voxels)
    expected = second.map_points(first.map_points(points))
    error = (both.map_points(points) - expected).abs().amax(dim=1)
    assert (
        error > 1e-3
    ).double().mean() < 1e-3  # points on the outer face of the field may fall on either side
    assert (both.field is None) == (not any(dense))


def test_true_transform_of_a_phantom_equals_its_smooth_map():
    grid = placed_grid((40, 40, 40), (2, 2, 2), "LPS", 20)
    smooth = SmoothMap.draw(0, 5, 40, 0.5)
    points = points_about(grid, reach=0.9)
    error = true_transform(smooth, grid).map_points(points) - smooth(points)
    assert error.norm(dim=1).max() < 0.02


@pytest.mark.parametrize(
    ("field", "grid"),
    [
        (torch.zeros(3, 4, 4, 4), None),
        (None, Grid.from_spacing((4, 4, 4))),
        (torch.zeros(3, 4, 4, 5), Grid.from_spacing((4, 4, 4))),
    ],
)
def test_field_that_does_not_fit_its_grid_is_refused(field, grid):
    with pytest.raises(ValueError, match="field"):
        Transform(torch.eye(4), field, grid)


@pytest.mark.parametrize(
    "affine", [torch.eye(3), torch.eye(5), torch.zeros(4, 4, 4), torch.full((4, 4), torch.inf)]
)
def test_an_affine_that_is_no_finite_4x4_matrix_is_refused(affine):
    with pytest.raises(ValueError, match="finite 4x4 matrix"):
        Transform(affine)


def test_composing_an_affine_with_a_field_is_exact():
    grid = placed_grid((9, 8, 7), (1.0, 2.0, 1.5), "LPS", 15)
    affine, dense = Transform(some_affine()), some_transform(grid)
    both = affine.then(dense)
    mapped = grid.to_world(torch.rand(200, 3, dtype=torch.float64) * torch.tensor([8.0, 7.0, 6.0]))
    points = Transform(torch.linalg.inv(some_affine())).map_points(mapped)
    expected = dense.map_points(affine.map_points(points))
    torch.testing.assert_close(both.map_points(points), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("shift", [-0.5, 0.5, 0.4])
def test_border_of_the_field_of_view_agrees_with_simpleitk(shift):
    grid = Grid.from_spacing((6, 5, 4))
    data = torch.rand(6, 5, 4) + 1
    affine = torch.eye(4, dtype=torch.float64)
    affine[0, 3] = shift
    itk = sitk.TranslationTransform(3, (-shift, 0.0, 0.0))
    image = sitk.GetImageFromArray(data.permute(2, 1, 0).numpy())
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    for interpolation, code in (("linear", sitk.sitkLinear), ("nearest", sitk.sitkNearestNeighbor)):
        moved = sitk.Resample(image, image, itk, code, -9.0)
        expected = torch.from_numpy(sitk.GetArrayFromImage(moved).T.copy())
        warped = warp(
            data[None], grid, grid, Transform(affine), interpolation=interpolation, fill=-9
        )[0]
        torch.testing.assert_close(warped, expected, atol=1e-5, rtol=0)
