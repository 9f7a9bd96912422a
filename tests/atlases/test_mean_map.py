"""The mean of maps from a template."""

import torch
from support.group_cases import GRIDS, paired_maps, voxels

from zoo.atlases import MapMean, separate_affine
from zoo.geometry import Transform, invert
from zoo.synthesis.phantom import true_transform


def affine(seed):
    random = torch.Generator().manual_seed(seed)
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3] += 0.1 * torch.randn(3, 4, generator=random, dtype=torch.float64)
    return matrix


def test_a_separated_map_is_the_same_map(grid):
    dense = Transform(affine(1)).dense_on(grid)
    bumps = true_transform(paired_maps(4, 3.0)[0], grid)
    whole = bumps.then(dense, grid).dense_on(grid)
    points = voxels(grid)
    inner = points[:: len(points) // 300]
    separated = separate_affine(whole, grid, inner)
    torch.testing.assert_close(
        separated.map_points(points), whole.map_points(points), atol=1e-3, rtol=0
    )


def test_the_affine_part_of_an_affine_map_is_the_map_itself(grid):
    points = voxels(grid)[::7]
    separated = separate_affine(Transform(affine(2)).dense_on(grid), grid, points)
    torch.testing.assert_close(separated.affine, affine(2), atol=1e-4, rtol=0)
    assert float(separated.field.abs().max()) < 1e-3


def test_opposite_displacements_and_inverse_affine_maps_have_no_mean():
    grid = GRIDS[0]
    points = voxels(grid)[::11]
    mean = MapMean(grid, points)
    matrix = affine(3)
    for one, part in zip(paired_maps(5), (matrix, torch.linalg.inv(matrix)), strict=True):
        mean.add(true_transform(one, grid).then(Transform(part)))
    assert mean.count == 2
    moved = (mean.mean().map_points(points) - points).norm(dim=1)
    alone = (true_transform(paired_maps(5)[0], grid).map_points(points) - points).norm(dim=1)
    assert float(moved.mean()) < 0.1 * float(alone.mean())


def test_the_mean_of_equal_maps_is_that_map_and_its_inverse_undoes_it():
    grid = GRIDS[1]
    points = voxels(grid)[::13]
    one = true_transform(paired_maps(6, 4.0)[0], grid).then(Transform(affine(4)))
    mean = MapMean(grid, points)
    for _ in range(3):
        mean.add(one)
    found = mean.mean()
    torch.testing.assert_close(found.map_points(points), one.map_points(points), atol=1e-3, rtol=0)
    assert invert(found, grid).mean_mm < 0.01
