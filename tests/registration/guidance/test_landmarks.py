"""The transform from landmarks: analytic cases, and a deformation whose truth is known."""

import pytest
import torch
from support.io_cases import AFFINE, GRIDS, inner_points, max_distance, smooth_transform

from zoo.geometry import Transform
from zoo.registration.guidance import landmark_transform

GRID = GRIDS["oblique anisotropic LAS"]


def test_landmarks_of_an_affine_map_give_that_map_everywhere():
    points = inner_points(GRID, count=12)
    found = landmark_transform(points, Transform(AFFINE).map_points(points), GRID)
    elsewhere = inner_points(GRID, count=100, seed=1)
    assert max_distance(found.map_points(elsewhere), Transform(AFFINE).map_points(elsewhere)) < 1e-3
    assert (found.affine - AFFINE).abs().max() < 1e-6


@pytest.mark.parametrize("count", [1, 3])
def test_few_landmarks_give_a_shift(count):
    points = inner_points(GRID, count=count)
    shift = torch.tensor([4.0, -5, 6], dtype=torch.float64)
    found = landmark_transform(points, points + shift, GRID)
    elsewhere = inner_points(GRID, count=50, seed=1)
    assert max_distance(found.map_points(elsewhere), elsewhere + shift) < 1e-4


def test_landmarks_in_a_plane_do_not_determine_an_affine():
    points = inner_points(GRID, count=12)
    points[:, 2] = points[0, 2]
    found = landmark_transform(points, Transform(AFFINE).map_points(points), GRID)
    assert torch.equal(found.affine[:3, :3], torch.eye(3, dtype=torch.float64))


def test_a_smooth_deformation_is_found_between_the_landmarks():
    truth = smooth_transform(GRID)
    points = inner_points(GRID, count=60, margin=1)
    found = landmark_transform(points, truth.map_points(points), GRID)
    elsewhere = inner_points(GRID, count=100, seed=1)
    error = (found.map_points(elsewhere) - truth.map_points(elsewhere)).norm(dim=1)
    before = (elsewhere - truth.map_points(elsewhere)).norm(dim=1)
    assert error.mean() < 0.1 * before.mean()
