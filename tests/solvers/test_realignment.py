"""Motion of frames, compared with analytic images that were moved by known maps."""

import numpy as np
import pytest
import torch
from support.motion_cases import error_mm, moved_by, oblique_grid, rigid

from zoo.solvers.realignment import (
    align_frame,
    framewise_displacement,
    motion_parameters,
    prepare_reference,
)


@pytest.mark.parametrize("flip", [1, -1])
@pytest.mark.parametrize(
    ("shift", "degrees"), [((0.3, -0.2, 0.4), (0.3, -0.5, 0.2)), ((4, -3, 5), (4, -3, 6))]
)
def test_rigid_motion_is_found_on_an_oblique_anisotropic_grid(flip, shift, degrees):
    grid = oblique_grid(flip=flip)
    centre = grid.centre.numpy()
    truth = rigid(np.array(shift), degrees, centre)
    levels = prepare_reference(moved_by(grid, np.eye(4), noise=8), grid, "rigid")
    found = align_frame(levels, 1.1 * moved_by(grid, truth, noise=8, seed=2), grid).numpy()
    assert error_mm(found, truth, centre) < 0.15
    parameters = motion_parameters(torch.from_numpy(truth), grid.centre)
    np.testing.assert_allclose(parameters, [*shift, *degrees], atol=1e-9)


def test_affine_motion_is_found():
    grid = oblique_grid()
    centre = grid.centre.numpy()
    truth = rigid(np.array([2.0, 1, -1.5]), (2, 1, -2), centre)
    truth[:3, :3] = truth[:3, :3] @ np.array([[1.03, 0.01, 0], [0, 0.98, 0.02], [0, 0, 1.01]])
    levels = prepare_reference(moved_by(grid, np.eye(4), noise=5), grid, "affine")
    found = align_frame(levels, moved_by(grid, truth, noise=5, seed=3), grid).numpy()
    assert error_mm(found, truth, centre) < 0.15


def test_a_change_of_one_region_does_not_pull_the_rest_along():
    grid = oblique_grid()
    centre = grid.centre.numpy()
    truth = rigid(np.array([1.0, -0.5, 0.5]), (1, 0.5, -1), centre)
    levels = prepare_reference(moved_by(grid, np.eye(4), noise=5), grid, "rigid")
    frame = moved_by(grid, truth, noise=5, seed=3)
    frame[12:18, 14:22, 8:12] += 400
    found = align_frame(levels, frame, grid).numpy()
    assert error_mm(found, truth, centre) < 0.2


def test_framewise_displacement_is_that_of_power():
    parameters = torch.tensor(
        [[0, 0, 0, 0, 0, 0], [0.1, -0.2, 0.3, 1, 0, -0.5], [0.1, -0.2, 0.3, 1, 0, 0]],
        dtype=torch.float64,
    )
    expected = [0, 0.6 + 50 * np.radians(1.5), 50 * np.radians(0.5)]
    np.testing.assert_allclose(framewise_displacement(parameters), expected)
