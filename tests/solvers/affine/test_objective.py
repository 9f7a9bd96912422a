from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline
from scipy.linalg import expm
from scipy.stats import entropy

from zoo.geometry.grid import Grid
from zoo.measures.body import find_body
from zoo.solvers.affine.comparison import (
    BINS,
    BodySamples,
    compare_with_torch,
    information_ratio,
    joint_histogram,
    spread_points,
)
from zoo.solvers.affine.compiled import compare
from zoo.solvers.affine.objective import AffineObjective
from zoo.solvers.affine.parameters import rotation, rotation_slope, stretch, stretch_slope
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


@pytest.mark.parametrize("count", [3, 6, 12])
def test_slope_of_the_cost_is_that_of_finite_differences(objective, count):
    generator = torch.Generator().manual_seed(1)
    at = 2 * torch.randn(count, generator=generator, dtype=torch.float64)
    value, slope = objective.cost_and_slope(at.numpy())
    assert value == pytest.approx(objective.cost(at), abs=1e-12)
    for k in range(count):
        step = torch.zeros(count, dtype=torch.float64)
        step[k] = 1e-3
        measured = (objective.cost(at + step) - objective.cost(at - step)) / 2e-3
        assert slope[k] == pytest.approx(measured, abs=1e-5)


def test_slope_of_the_penalty_for_little_overlap_is_that_of_finite_differences(objective):
    at = torch.tensor([80.0, 10.0, -5.0, 3.0, 1.0, 2.0], dtype=torch.float64)
    assert objective.compare(objective.matrix(at))[1] < 0.5
    _, slope = objective.cost_and_slope(at.numpy())
    for k in range(6):
        step = torch.zeros(6, dtype=torch.float64)
        step[k] = 1e-3
        measured = (objective.cost(at + step) - objective.cost(at - step)) / 2e-3
        assert slope[k] == pytest.approx(measured, abs=2e-5)


@pytest.mark.parametrize("with_region", [False, True])
def test_the_compiled_comparison_equals_that_of_torch(objective, with_region):
    """Torch reads float32 positions, and its derivatives come from autograd."""
    fixed, moving = objective.fixed, objective.moving
    if with_region:
        regions = [torch.ones(body.grid.shape) for body in (fixed, moving)]
        regions[0][:10] = 0
        regions[1][:, 20:] = 0.25
        fixed, moving = replace(fixed, region=regions[0]), replace(moving, region=regions[1])
    generator = torch.Generator().manual_seed(3)
    for samples in (BodySamples(fixed, moving, 4000), BodySamples(moving, fixed, 4000)):
        linear = torch.eye(3) + 0.1 * torch.randn(3, 3, generator=generator)
        matrix = torch.eye(4, dtype=torch.float64)
        matrix[:3, :3] = linear.double()
        matrix[:3, 3] = torch.tensor([6.0, -9.0, 4.0])
        to_index = (samples.other.grid.inverse @ matrix)[:3].numpy()
        compiled = compare(samples, to_index, True)
        expected = compare_with_torch(samples, to_index, True)
        np.testing.assert_allclose(compiled[:2], expected[:2], atol=1e-6)
        for slope, reference in zip(compiled[2:], expected[2:], strict=True):
            np.testing.assert_allclose(slope, reference, atol=1e-4 * abs(reference).max())


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 1e300])
def test_a_map_without_finite_values_has_no_overlap(objective, value):
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[0, 0] = value
    assert objective.forward.compare(matrix.numpy(), with_slopes=True).overlap < 0.1


@pytest.mark.parametrize("size", [0.0, 1e-6, 0.3, 2.5])
def test_rotation_and_stretch_are_exponentials_with_their_derivatives(size):
    generator = np.random.default_rng(0)
    for function, slope_of, matrix_of, count in (
        (rotation, rotation_slope, antisymmetric, 3),
        (stretch, stretch_slope, symmetric, 6),
    ):
        vector = size * generator.normal(size=count)
        np.testing.assert_allclose(function(vector), expm(matrix_of(vector)), atol=1e-11)
        weight = generator.normal(size=(3, 3))
        slope = slope_of(vector, weight)
        for k in range(count):
            step = np.eye(count)[k] * 1e-6
            change = function(vector + step) - function(vector - step)
            measured = (weight * change).sum() / 2e-6
            assert slope[k] == pytest.approx(measured, rel=1e-6, abs=1e-7)


def test_two_equal_stretches_have_a_derivative():
    vector, weight = np.array([0.2, 0.2, 0.2, 0, 0, 0]), np.arange(9.0).reshape(3, 3)
    expected = np.exp(0.2) * np.array([0, 4, 8, 1 + 3, 2 + 6, 5 + 7])
    np.testing.assert_allclose(stretch_slope(vector, weight), expected)


def antisymmetric(v):
    return np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])


def symmetric(v):
    return np.array([[v[0], v[3], v[4]], [v[3], v[1], v[5]], [v[4], v[5], v[2]]])


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
    assert objective.compare(away)[1] == 0


def test_points_outside_the_other_image_do_not_count():
    grid = Grid.from_spacing((24, 24, 24), (4, 4, 4))
    image = torch.rand(grid.shape)
    whole = find_body(image, grid, 4, "fixed")
    half = find_body(image[:12], Grid((12, 24, 24), grid.affine), 4, "moving")
    identity = torch.eye(4, dtype=torch.float64)
    forward = BodySamples(whole, half, 8000).compare(identity.numpy())
    backward = BodySamples(half, whole, 8000).compare(identity.numpy())
    assert forward.overlap == pytest.approx(0.5, abs=0.03)
    assert forward.similarity == pytest.approx(backward.similarity, abs=0.02)


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
