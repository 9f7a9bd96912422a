import pytest
import torch

from zoo.geometry import (
    Grid,
    Transform,
    folding_percent,
    invert,
    jacobian_determinant,
    map_points_back,
)
from zoo.synthesis.phantom import SmoothMap, make_pair, placed_grid, true_transform


def some_affine():
    affine = torch.eye(4, dtype=torch.float64)
    affine[:3, :3] += 0.1 * torch.tensor([[1, -1, 0.5], [0.5, -0.5, 1], [0, 1, 0.5]])
    affine[:3, 3] = torch.tensor([3.0, -5.0, 2.0])
    return affine


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("axes", ["RAS", "LPS", "SAR"])
def test_phantom_maps_are_inverted_well_below_the_voxel(seed, axes):
    pair = make_pair(
        seed, shape=(40, 44, 36), axes=axes, tilt_degrees=15, moving_axes="LAS", noise=False
    )
    inverse = invert(pair.truth, pair.moving_grid)
    assert inverse.mean_mm < 0.05
    assert inverse.max_mm < 0.5
    back = inverse.transform.map_points(pair.moving_points)
    apart = (back - pair.fixed_points).norm(dim=1)
    # against the closed form: the two samplings of the field on 2 mm grids are what is left
    assert apart.mean() < 0.05
    assert apart.max() < 0.5


def test_the_inverse_agrees_with_the_closed_form():
    grid = placed_grid((60, 60, 60), (1.5, 1.5, 1.5), "LPS", 20)
    smooth = SmoothMap.draw(5, 15, 45, 0.7)
    inverse = invert(true_transform(smooth, grid), grid).transform
    points = grid.to_world(torch.rand(300, 3, dtype=torch.float64) * 40 + 10)
    apart = (inverse.map_points(points) - smooth.inverse(points)).norm(dim=1)
    assert apart.mean() < 0.05
    assert apart.max() < 0.5


def test_an_affine_part_is_inverted_with_the_field(grid):
    smooth = SmoothMap.draw(6, 3, 20, 0.5)
    transform = Transform(some_affine(), true_transform(smooth, grid).field, grid)
    inverse = invert(transform, grid.moved(some_affine()))
    assert inverse.max_mm < 0.5
    middle = grid.centre + torch.randn(100, 3, dtype=torch.float64) * 2
    back = inverse.transform.map_points(transform.map_points(middle))
    assert (back - middle).norm(dim=1).mean() < 0.1


def test_an_affine_transform_is_inverted_exactly(grid):
    inverse = invert(Transform(some_affine()), grid)
    assert torch.allclose(inverse.transform.affine @ some_affine(), torch.eye(4).double())
    assert inverse.max_mm == 0


def test_points_are_mapped_back_without_a_field_in_between(grid):
    smooth = SmoothMap.draw(7, 3, 20, 0.5)
    transform = Transform(some_affine(), true_transform(smooth, grid).field, grid)
    points = grid.centre + torch.randn(200, 3, dtype=torch.float64) * 3
    back, missed = map_points_back(transform, transform.map_points(points))
    assert (back - points).norm(dim=1).max() < 1e-3
    assert missed < 1e-3


def test_the_reported_residual_is_the_distance_by_which_points_miss():
    """Also where the map folds and a unique inverse does not exist."""
    grid = placed_grid((20, 20, 20), (1, 1.5, 2), "LPS")
    field = 1.5 * torch.randn(3, 20, 20, 20)
    transform = Transform(torch.eye(4), field, grid)
    inverse = invert(transform, grid, iterations=4)
    inner = torch.cartesian_prod(*[torch.arange(6, 14).double()] * 3)
    points = grid.to_world(inner)
    missed = transform.map_points(inverse.transform.map_points(points)) - points
    assert 0.1 < missed.norm(dim=1).max() <= inverse.max_mm + 1e-3
    assert folding_percent(jacobian_determinant(transform)) > 1


@pytest.fixture
def pushed():
    """Return a map that pushes 5 mm along x, and the grid of 8^3 that it lies on."""
    fixed = Grid.from_spacing((8, 8, 8))
    field = torch.zeros(3, 8, 8, 8)
    field[0] = 5
    return Transform(torch.eye(4), field, fixed)


def test_the_figures_of_an_inverse_are_those_of_the_map_itself(pushed):
    found = invert(pushed, Grid.from_spacing((24, 8, 8)))
    voxels = torch.cartesian_prod(*[torch.arange(n, dtype=torch.float64) for n in (24, 8, 8)])
    back = found.transform.map_points(voxels)
    there = ((back > -0.5) & (back < 7.5)).all(dim=1)
    missed = (pushed.map_points(back[there]) - voxels[there]).norm(dim=1)
    assert there.sum() == 8 * 8 * 8
    assert found.mean_mm == pytest.approx(float(missed.mean()), abs=1e-6)
    assert found.max_mm == pytest.approx(float(missed.max()), abs=1e-6)


def test_points_beyond_the_field_come_back_by_the_affine_part_alone(pushed):
    points = torch.tensor([[20.0, 3.0, 3.0], [11.0, 3.0, 3.0]])
    back, missed = map_points_back(pushed, points)
    wanted = torch.tensor([[20.0, 3.0, 3.0], [6.0, 3.0, 3.0]], dtype=torch.float64)
    torch.testing.assert_close(back, wanted, atol=1e-5, rtol=0)
    assert missed < 1e-4
