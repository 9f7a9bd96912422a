"""The mean of affine maps."""

import math

import pytest
import torch

from zoo.atlases import mean_affine
from zoo.errors import UserError


def affine(seed, spread=0.2):
    random = torch.Generator().manual_seed(seed)
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3] += spread * torch.randn(3, 4, generator=random, dtype=torch.float64)
    matrix[:3, 3] *= 50
    return matrix


def turned(degrees, scale=1.0):
    angle = math.radians(degrees)
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:2, :2] = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    matrix[:3, :3] *= scale
    return matrix


def test_the_mean_of_a_map_and_its_inverse_is_the_identity():
    matrix = affine(1)
    mean = mean_affine([matrix, torch.linalg.inv(matrix)])
    torch.testing.assert_close(mean, torch.eye(4, dtype=torch.float64), atol=1e-9, rtol=0)


def test_angles_have_an_arithmetic_and_scales_a_geometric_mean():
    mean = mean_affine([turned(10, 0.5), turned(50, 2.0), turned(30, 8.0)])
    torch.testing.assert_close(mean, turned(30, 2.0), atol=1e-7, rtol=0)


def test_a_change_of_coordinates_on_either_side_changes_the_mean_with_it():
    maps = [affine(k) for k in range(4)]
    left, right = affine(10), affine(11)
    moved = mean_affine([left @ matrix @ right for matrix in maps])
    torch.testing.assert_close(moved, left @ mean_affine(maps) @ right, atol=1e-6, rtol=1e-8)


def test_the_order_of_the_maps_changes_rounding_errors_only():
    maps = [affine(k) for k in range(5)]
    torch.testing.assert_close(mean_affine(maps[::-1]), mean_affine(maps), atol=1e-7, rtol=0)


def test_mirrored_maps_have_no_mean():
    mirror = torch.diag(torch.tensor([-1.0, 1, 1, 1], dtype=torch.float64))
    with pytest.raises(UserError, match="differ by a reflection or by half a turn"):
        mean_affine([mirror, torch.eye(4, dtype=torch.float64)])
