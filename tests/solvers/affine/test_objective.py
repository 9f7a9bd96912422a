import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline
from scipy.stats import entropy

from zoo.geometry.grid import Grid
from zoo.measures.body import find_body
from zoo.solvers.affine.objective import (
    BINS,
    AffineObjective,
    BodySamples,
    information_ratio,
    joint_histogram,
    spread_points,
)
from zoo.synthesis.phantom import make_pair


@pytest.fixture(scope="module")
def objective():
    pair = make_pair(3, shape=(32, 34, 30), spacing=(4, 4, 5), contrasts=("t1", "t2"))
    fixed = find_body(pair.fixed, pair.fixed_grid, 4, "fixed")
    moving = find_body(pair.moving, pair.moving_grid, 4, "moving")
    return AffineObjective(fixed.at(4), moving.at(4), 4000)


def test_points_fill_the_cube_evenly():
    points = spread_points(4096).numpy()
    counts, _ = np.histogramdd(points, bins=8, range=[(0, 1)] * 3)
    assert counts.std() < 1.8  # of 8 points on average; random points would have 2.8


def test_histogram_is_the_parzen_estimate_with_a_cubic_spline():
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(300, generator=generator, dtype=torch.float64)
    bins = torch.randint(BINS, (300,), generator=generator)
    weight = torch.rand(300, generator=generator, dtype=torch.float64)
    expected = np.zeros((BINS, BINS + 3))
    kernel = BSpline.basis_element([-2, -1, 0, 1, 2], extrapolate=False)
    for row, value, w in zip(bins, values, weight, strict=True):
        distance = np.arange(-1, BINS + 2) - float(value) * (BINS - 1)
        expected[row] += float(w) * np.nan_to_num(kernel(distance))
    result = joint_histogram(bins * (BINS + 3), values, weight)
    np.testing.assert_allclose(result.numpy(), expected / expected.sum(), atol=1e-12)


def test_information_is_the_ratio_of_the_entropies():
    joint = torch.rand(BINS, BINS + 3, dtype=torch.float64)
    joint = joint / joint.sum()
    p = joint.numpy()
    expected = (entropy(p.sum(0)) + entropy(p.sum(1))) / entropy(p.ravel())
    assert float(information_ratio(joint)) == pytest.approx(expected, abs=1e-7)
    alone = torch.outer(joint.sum(1), joint.sum(0))
    assert float(information_ratio(alone)) == pytest.approx(1, abs=1e-6)


def test_slope_of_the_cost_is_that_of_finite_differences(objective):
    generator = torch.Generator().manual_seed(1)
    at = 2 * torch.randn(12, generator=generator, dtype=torch.float64)
    (slope,) = torch.autograd.grad(objective.cost(at.requires_grad_()), at)
    for k in range(12):
        step = torch.zeros(12, dtype=torch.float64)
        step[k] = 2e-2  # float32 images: a smaller step is lost in rounding
        measured = float((objective.cost(at + step) - objective.cost(at - step)).detach()) / 4e-2
        assert float(slope[k]) == pytest.approx(measured, abs=3e-5)


def test_no_parameters_reflect(objective):
    generator = torch.Generator().manual_seed(2)
    for _ in range(20):
        parameters = 80 * torch.randn(12, generator=generator, dtype=torch.float64)
        assert torch.linalg.det(objective.matrix(parameters)[:3, :3]) > 0


def test_zero_parameters_align_the_centres_of_mass(objective):
    matrix = objective.matrix(torch.zeros(3, dtype=torch.float64))
    centre = matrix[:3, :3] @ objective.fixed.centre + matrix[:3, 3]
    torch.testing.assert_close(centre, objective.moving.centre)


def test_motion_is_the_mean_step_of_the_body(objective):
    shift = torch.eye(4, dtype=torch.float64)
    shift[:3, 3] = torch.tensor([3.0, 0.0, -4.0])
    assert objective.motion(shift) == pytest.approx(5)


def test_both_directions_count_equally(objective):
    swapped = AffineObjective(objective.moving, objective.fixed, 4000)
    matrix = objective.matrix(torch.full((12,), 3.0, dtype=torch.float64))
    there, back = objective.compare(matrix), swapped.compare(torch.linalg.inv(matrix))
    torch.testing.assert_close(there, back)


def test_a_map_out_of_the_field_of_view_has_negative_quality(objective):
    away = torch.eye(4, dtype=torch.float64)
    away[:3, 3] = 1000
    assert objective.quality(away) < 0
    assert float(objective.compare(away)[1]) == 0


def test_points_outside_the_other_image_do_not_count():
    grid = Grid.from_spacing((24, 24, 24), (4, 4, 4))
    image = torch.rand(grid.shape)
    whole = find_body(image, grid, 4, "fixed")
    half = find_body(image[:12], Grid((12, 24, 24), grid.affine), 4, "moving")
    identity = torch.eye(4, dtype=torch.float64)
    forward, overlap = BodySamples(whole, half, 8000).compare(identity)
    backward, _ = BodySamples(half, whole, 8000).compare(identity)
    assert float(overlap) == pytest.approx(0.5, abs=0.03)
    assert float(forward) == pytest.approx(float(backward), abs=0.02)


def test_points_lie_where_the_image_counts_and_are_as_many_as_asked():
    grid = Grid.from_spacing((32, 32, 32), (3, 3, 3))
    image = torch.rand(grid.shape)
    data = torch.zeros(grid.shape, dtype=torch.bool)
    data[6:26, 8:20, 10:24] = True
    body = find_body(torch.where(data, image, 0), grid, 3, "fixed", data=data)
    samples = BodySamples(body, body, 2000)
    index = grid.to_index(samples.points)
    assert 1900 <= len(index) <= 2000
    low, high = torch.tensor([6.0, 8.0, 10.0]) - 1, torch.tensor([25.0, 19.0, 23.0]) + 1
    assert ((index > low) & (index < high)).all()


def test_a_map_that_leaves_the_overlap_never_gains_information():
    """Images of one structure match wherever they overlap; only the overlap tells maps apart."""
    grid = Grid.from_spacing((40, 20, 20), (3, 3, 3))
    waves = torch.arange(40).mul(2 * torch.pi / 8).sin()[:, None, None].expand(grid.shape)
    image = waves + 0.01 * torch.randn(grid.shape)
    body = find_body(image, grid, 3, "fixed", region=torch.ones(grid.shape))
    objective = AffineObjective(body, body, 4000)
    shifted = torch.eye(4, dtype=torch.float64)
    values = []
    for periods in range(4):
        shifted[0, 3] = periods * 24
        values.append(objective.information(shifted))
    assert values == sorted(values, reverse=True)
    assert values[2] == pytest.approx(values[0] * 0.6, rel=0.25)
