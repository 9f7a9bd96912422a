import math

import pytest
import torch

from zoo.geometry import Grid, Transform, folding_percent, jacobian_determinant, sd_log_jacobian
from zoo.synthesis.phantom import SmoothMap, placed_grid, true_transform


def test_determinant_of_a_smooth_map_equals_the_analytic_one():
    """The grids are flipped, permuted, oblique and anisotropic."""
    smooth = SmoothMap.draw(3, 10, 40, 0.6)
    for axes, tilt in (("RAS", 0), ("LPS", 0), ("LAS", 25), ("SPL", -35)):
        grid = placed_grid((60, 44, 50), (1.0, 1.4, 1.2), axes, tilt)
        determinant = jacobian_determinant(true_transform(smooth, grid))
        voxels = torch.cartesian_prod(*[torch.arange(n) for n in grid.shape]).double()
        expected = smooth.jacobian_determinant(grid.to_world(voxels)).view(grid.shape)
        inner = (slice(1, -1),) * 3
        assert (determinant / expected - 1)[inner].abs().max() < 0.01
        assert expected.max() - expected.min() > 0.5


def test_determinant_does_not_depend_on_the_orientation_of_the_grid(grid):
    scale = torch.diag(torch.tensor([1.3, 0.9, 1.1, 1.0]).double())
    field = Transform(scale).dense_on(grid)
    assert jacobian_determinant(field).sub(1.3 * 0.9 * 1.1).abs().max() < 1e-3


def test_determinants_of_affine_and_field_are_multiplied(grid):
    scale = torch.diag(torch.tensor([2.0, 1.0, 0.5, 1.0]).double())
    shear = torch.eye(4, dtype=torch.float64)
    shear[0, 0] = 1.25
    field = Transform(shear).dense_on(grid).field
    assert jacobian_determinant(Transform(scale, field, grid)).sub(1.25).abs().max() < 1e-3
    assert torch.allclose(jacobian_determinant(Transform(scale), grid), torch.ones(grid.shape))


def test_folding_percent_counts_determinants_up_to_zero():
    determinant = torch.tensor([1.0, 0.0, -0.5, 2.0]).view(1, 2, 2)
    assert folding_percent(determinant) == 50
    mask = torch.tensor([True, True, False, False]).view(1, 2, 2)
    assert folding_percent(determinant, mask) == 50
    assert folding_percent(determinant, mask.flip(0, 1)) == 50
    assert folding_percent(determinant.abs() + 0.1) == 0


def test_reflection_folds_every_voxel():
    grid = Grid.from_spacing((6, 6, 6))
    mirror = torch.diag(torch.tensor([-1.0, 1, 1, 1]).double())
    assert folding_percent(jacobian_determinant(Transform(mirror).dense_on(grid))) == 100


def test_sd_log_jacobian_of_known_values():
    determinant = torch.tensor([math.e, 1 / math.e, math.e, 1 / math.e]).view(1, 2, 2)
    assert sd_log_jacobian(determinant) == pytest.approx(1, abs=1e-6)


def test_grid_one_voxel_thick_has_a_determinant():
    grid = Grid.from_spacing((5, 6, 1))
    assert torch.equal(
        jacobian_determinant(Transform(torch.eye(4), torch.zeros(3, 5, 6, 1), grid)),
        torch.ones(5, 6, 1),
    )
