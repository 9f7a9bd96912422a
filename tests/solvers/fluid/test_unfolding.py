"""Removal of folds."""

import pytest
import torch

from zoo.geometry import Grid, Transform
from zoo.geometry.jacobian import jacobian_determinant
from zoo.solvers.fluid import unfold
from zoo.solvers.fluid.unfolding import LEAST_DETERMINANT

SHAPE = (40, 36, 44)


def determinants(displacement):
    grid = Grid(SHAPE, torch.eye(4, dtype=torch.float64))
    return jacobian_determinant(Transform(torch.eye(4), displacement[0], grid))


def bump(centre, height, width, axis=1):
    """Return a displacement along `axis` that folds near `centre` if `height` exceeds `width`."""
    axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in SHAPE), indexing="ij")
    squared = sum((a - c) ** 2 for a, c in zip(axes, centre, strict=True))
    field = torch.zeros(1, 3, *SHAPE)
    field[0, axis] = height * torch.exp(-squared / (2 * width**2))
    return field


def test_a_map_without_folds_is_returned_as_it_is():
    field = bump((20, 18, 22), 2.0, 4.0)
    assert determinants(field).min() > 0
    result, share = unfold(field)
    assert result is field
    assert share == 0


@pytest.mark.parametrize("centre", [(20, 18, 22), (1, 18, 22), (20, 33, 43)])
@pytest.mark.parametrize(("height", "width"), [(6.0, 2.0), (15.0, 3.0)])
def test_folds_are_removed_and_the_rest_stays(centre, height, width):
    gentle = bump((30, 10, 8), 1.5, 4.0)
    field = gentle + bump(centre, height, width)
    assert (determinants(field) <= 0).any()
    result, share = unfold(field)
    assert determinants(result).min() > 0
    assert 0 < share < 0.5
    far = torch.zeros(SHAPE, dtype=torch.bool)
    axes = torch.meshgrid(*(torch.arange(n) for n in SHAPE), indexing="ij")
    distance = torch.stack([(a - c).abs() for a, c in zip(axes, centre, strict=True)]).amax(0)
    far = distance > 2 * width + 14
    assert far.any()
    assert torch.equal(result[..., far], field[..., far])


@pytest.mark.parametrize("other", [34, 36, 38])
def test_folds_on_both_sides_of_a_tile_are_removed(other):
    """Each is within the margin of the tile of the other one, whose boundary is at voxel 32."""
    field = bump((24, 18, 18), 7.5, 2.5, axis=0) + bump((other, 18, 18), 7.5, 2.5, axis=0)
    assert (determinants(field) <= 0).any()
    assert determinants(unfold(field)[0]).min() >= LEAST_DETERMINANT


def test_the_input_is_not_changed():
    field = bump((20, 18, 22), 9.0, 2.0)
    copy = field.clone()
    unfold(field)
    assert torch.equal(field, copy)


def test_many_scattered_folds_are_removed_and_stay_local():
    """A rough field as a search leaves it: folds all over the grid, close to one another."""
    generator = torch.Generator().manual_seed(0)
    field = bump((20, 18, 22), 3.0, 6.0)
    for _ in range(60):
        centre = [int(torch.randint(2, n - 2, (1,), generator=generator)) for n in SHAPE]
        field += bump(centre, 3.0, 1.5)
    before = determinants(field)
    assert (before <= 0).sum() > 40
    result, share = unfold(field)
    assert determinants(result).min() > 0
    assert share < 0.8
    assert (result - field).norm(dim=1).mean() < 0.2
