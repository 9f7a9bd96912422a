"""Large grids are processed in slabs; nothing changes where one slab ends and the next begins."""

import math

import pytest
import torch

from zoo.geometry import Grid, Transform, invert, jacobian_determinant, warp
from zoo.geometry.chain import Link, compose
from zoo.geometry.transform import slabs
from zoo.synthesis.phantom import placed_grid

SHAPE = (270, 64, 64)
EDGE = 256
"""The first row of the second slab of a grid of this shape."""
TURNED = ("LSP", 20)


def wave(grid, amplitude=1.5, length=9.0):
    """Return u(i) = amplitude * sin(i / length) along the first array axis of a grid, in voxels."""
    x = torch.arange(grid.shape[0]).double()
    displacement = torch.zeros(3, *grid.shape)
    displacement[0] = (amplitude * torch.sin(x / length)).float().view(-1, 1, 1)
    return displacement


def points_at_the_edge(grid, count=400):
    """Return world points of voxels on both sides of the edge between two slabs."""
    index = torch.rand(count, 3, dtype=torch.float64) * (torch.tensor(grid.shape) - 7) + 3
    index[:, 0] = EDGE + torch.randint(-4, 4, (count,))
    index[:, 1:] = index[:, 1:].round()
    return grid.to_world(index)


@pytest.mark.parametrize("shape", [SHAPE, (5, 6, 7), (1, 3, 4), (3, 1100, 1000), (512, 64, 64)])
def test_slabs_cover_the_first_axis_once(shape):
    parts = slabs(Grid.from_spacing(shape))
    rows = [row for start, stop in parts for row in range(start, stop)]
    assert rows == list(range(shape[0]))
    assert all(
        (stop - start) * shape[1] * shape[2] <= 1 << 20 or stop - start == 1
        for start, stop in parts
    )


def test_the_slabs_of_these_tests_meet_at_the_edge():
    assert slabs(Grid.from_spacing(SHAPE)) == [(0, EDGE), (EDGE, SHAPE[0])]


def turned(transform):
    """Return the transform with a small rotation after its field."""
    turn = torch.eye(4, dtype=torch.float64)
    turn[:3, :3] += 0.04 * torch.tensor([[0, -1, 0], [1, 0, 1], [0, -1, 0]])
    return Transform(turn, transform.field, transform.grid)


@pytest.fixture(scope="module")
def large():
    return placed_grid(SHAPE, (1.2, 0.8, 2.0), *TURNED)


@pytest.fixture(scope="module")
def coarse_wave():
    """A smooth transform on a coarse grid that covers the large one."""
    grid = placed_grid((100, 34, 24), (3.4, 2.8, 7.4), *TURNED)
    return turned(Transform.from_voxels(wave(grid, 0.4, 20.0), grid))


def test_determinants_across_the_edge_are_the_differences_of_the_wave(large):
    determinant = jacobian_determinant(Transform.from_voxels(wave(large), large))
    x = torch.arange(1, SHAPE[0] - 1).double()
    central = 1 + 1.5 * torch.cos(x / 9) * math.sin(1 / 9)
    assert (determinant[1:-1] - central.view(-1, 1, 1)).abs().max() < 1e-4
    first = 1 + 1.5 * math.sin(1 / 9)
    assert (determinant[0] - first).abs().max() < 1e-4


def test_a_ramp_is_warped_to_the_mapped_points(large, coarse_wave):
    moving = placed_grid((60, 70, 50), (7.0, 6.0, 8.0), "PIR", -15)
    slope = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64)
    voxels = torch.cartesian_prod(*[torch.arange(n).double() for n in moving.shape])
    ramp = (moving.to_world(voxels) @ slope).view(moving.shape).float()
    warped = warp(ramp[None], moving, large, coarse_wave, fill=1e4)[0]
    points = points_at_the_edge(large)
    index = large.to_index(points).round().long()
    mapped = coarse_wave.map_points(points)
    inner = moving.to_index(mapped)
    seen = ((inner > 0) & (inner < torch.tensor(moving.shape) - 1)).all(dim=1)
    assert seen.sum() > 100
    values = warped[tuple(index.T)].double()
    assert (values - mapped @ slope)[seen].abs().max() < 1e-2


def test_a_transform_made_dense_maps_alike(large, coarse_wave):
    points = points_at_the_edge(large)
    dense = coarse_wave.dense_on(large)
    assert (dense.map_points(points) - coarse_wave.map_points(points)).norm(dim=1).max() < 2e-3


def test_a_composition_maps_as_its_parts_in_turn(large, coarse_wave):
    points = points_at_the_edge(large)
    first = turned(Transform.from_voxels(wave(large), large))
    expected = coarse_wave.map_points(first.map_points(points))
    both = first.then(coarse_wave)
    assert (both.map_points(points) - expected).norm(dim=1).max() < 2e-3


def test_an_inverted_link_leads_back(large, coarse_wave):
    points = points_at_the_edge(large)
    result = compose([Link(coarse_wave, inverted=True)], large)
    back = coarse_wave.map_points(result.transform.map_points(points))
    assert (back - points).norm(dim=1).max() < 1e-3
    assert result.error_mm < 1e-3


def test_an_inverse_field_leads_back(large, coarse_wave):
    points = points_at_the_edge(large)
    inverse = invert(coarse_wave, large)
    back = coarse_wave.map_points(inverse.transform.map_points(points))
    assert (back - points).norm(dim=1).max() < 0.02
    assert inverse.mean_mm <= inverse.max_mm < 0.02
