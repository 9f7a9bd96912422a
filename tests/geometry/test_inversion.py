import pytest
import torch
from support.transform_cases import some_affine

from zoo.geometry import (
    Grid,
    Transform,
    folding_percent,
    invert,
    jacobian_determinant,
    map_points_back,
)
from zoo.synthesis.phantom import SmoothMap, make_pair, placed_grid, true_transform


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("axes", ["RAS", "LPS", "SAR"])
def test_phantom_transforms_are_inverted_far_below_voxel_size(seed, axes):
    pair = make_pair(
        seed, shape=(40, 44, 36), axes=axes, tilt_degrees=15, moving_axes="LAS", noise=False
    )
    inverse = invert(pair.truth, pair.moving_grid)
    assert inverse.mean_mm < 0.05
    assert inverse.max_mm < 0.5
    back = inverse.transform.map_points(pair.moving_points)
    error = (back - pair.fixed_points).norm(dim=1)
    # The remaining error comes from sampling both fields on 2 mm grids.
    assert error.mean() < 0.05
    assert error.max() < 0.5


def test_inverse_agrees_with_closed_form():
    grid = placed_grid((60, 60, 60), (1.5, 1.5, 1.5), "LPS", 20)
    smooth = SmoothMap.draw(5, 15, 45, 0.7)
    inverse = invert(true_transform(smooth, grid), grid).transform
    points = grid.to_world(torch.rand(300, 3, dtype=torch.float64) * 40 + 10)
    error = (inverse.map_points(points) - smooth.inverse(points)).norm(dim=1)
    assert error.mean() < 0.05
    assert error.max() < 0.5


def test_affine_and_field_are_inverted_together(grid):
    smooth = SmoothMap.draw(6, 3, 20, 0.5)
    transform = Transform(some_affine(), true_transform(smooth, grid).field, grid)
    inverse = invert(transform, grid.moved(some_affine()))
    assert inverse.max_mm < 0.5
    middle = grid.centre + torch.randn(100, 3, dtype=torch.float64) * 2
    back = inverse.transform.map_points(transform.map_points(middle))
    assert (back - middle).norm(dim=1).mean() < 0.1


def test_affine_transform_is_inverted_exactly(grid):
    inverse = invert(Transform(some_affine()), grid)
    assert torch.allclose(inverse.transform.affine @ some_affine(), torch.eye(4).double())
    assert inverse.max_mm == 0


def test_map_points_back_inverts_map_points(grid):
    smooth = SmoothMap.draw(7, 3, 20, 0.5)
    transform = Transform(some_affine(), true_transform(smooth, grid).field, grid)
    points = grid.centre + torch.randn(200, 3, dtype=torch.float64) * 3
    back, error = map_points_back(transform, transform.map_points(points))
    assert (back - points).norm(dim=1).max() < 1e-3
    assert error < 1e-3


def test_reported_error_bounds_the_error_of_points_despite_folding():
    """The inverse is not unique where the transform folds."""
    grid = placed_grid((20, 20, 20), (1, 1.5, 2), "LPS")
    field = 1.5 * torch.randn(3, 20, 20, 20)
    transform = Transform(torch.eye(4), field, grid)
    inverse = invert(transform, grid, iterations=4)
    inner = torch.cartesian_prod(*[torch.arange(6, 14).double()] * 3)
    points = grid.to_world(inner)
    error = transform.map_points(inverse.transform.map_points(points)) - points
    assert 0.1 < error.norm(dim=1).max() <= inverse.max_mm + 1e-3
    assert folding_percent(jacobian_determinant(transform)) > 1


def test_the_mean_error_is_that_of_the_voxels_that_map_into_the_fixed_grid():
    """Stopped after two iterations, the inverse of this transform is far from exact."""
    grid = placed_grid((20, 18, 16), (1, 1.5, 2), "LPS", 15)
    transform = Transform(some_affine(), 1.5 * torch.randn(3, *grid.shape), grid)
    moving = grid.moved(some_affine())
    inverse = invert(transform, moving, iterations=2)
    points = moving.to_world(torch.cartesian_prod(*[torch.arange(n) for n in moving.shape]))
    back = inverse.transform.map_points(points)
    error = (transform.map_points(back) - points).norm(dim=1)
    index = grid.to_index(back)
    within = ((index >= -0.5) & (index < torch.tensor(grid.shape) - 0.5)).all(dim=1)
    assert 0.5 < within.double().mean() < 1
    assert float(error[within].mean()) > 0.3
    assert inverse.mean_mm == pytest.approx(float(error[within].mean()), rel=1e-3)
    assert inverse.max_mm == pytest.approx(float(error[within].max()), rel=1e-3)


@pytest.fixture
def shift():
    """Return a transform that moves points of a grid of 8^3 voxels by 5 mm along x."""
    fixed = Grid.from_spacing((8, 8, 8))
    field = torch.zeros(3, 8, 8, 8)
    field[0] = 5
    return Transform(torch.eye(4), field, fixed)


def test_reported_errors_cover_voxels_that_map_into_the_fixed_grid(shift):
    inverse = invert(shift, Grid.from_spacing((24, 8, 8)))
    voxels = torch.cartesian_prod(*[torch.arange(n, dtype=torch.float64) for n in (24, 8, 8)])
    back = inverse.transform.map_points(voxels)
    inside = ((back > -0.5) & (back < 7.5)).all(dim=1)
    error = (shift.map_points(back[inside]) - voxels[inside]).norm(dim=1)
    assert inside.sum() == 8 * 8 * 8
    assert inverse.mean_mm == pytest.approx(float(error.mean()), abs=1e-6)
    assert inverse.max_mm == pytest.approx(float(error.max()), abs=1e-6)


def test_points_outside_the_field_are_mapped_back_by_the_affine(shift):
    points = torch.tensor([[20.0, 3.0, 3.0], [11.0, 3.0, 3.0]])
    back, error = map_points_back(shift, points)
    expected = torch.tensor([[20.0, 3.0, 3.0], [6.0, 3.0, 3.0]], dtype=torch.float64)
    torch.testing.assert_close(back, expected, atol=1e-5, rtol=0)
    assert error < 1e-4
