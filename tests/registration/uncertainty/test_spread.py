"""The standard deviation is that of the displacements once the perturbations are undone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.grid_cases import ORIENTATIONS
from support.report_cases import in_memory

from zoo import UserError
from zoo.evaluation import measure
from zoo.geometry import Transform
from zoo.registration.result import RegisteredPair
from zoo.registration.uncertainty import estimate_uncertainty, with_uncertainty
from zoo.reporting import draw_panels
from zoo.synthesis.phantom import make_pair, placed_grid

AFFINE = torch.tensor(
    [[1.05, 0.1, 0, 12], [-0.08, 0.9, 0.05, -30], [0, 0.02, 1.1, 4], [0, 0, 0, 1]],
    dtype=torch.float64,
)


class Stub:
    """Returns a known transform with known noise for the perturbed pair, and keeps the noise.

    It recovers the rigid motion from the landmarks alone, which it is given before and after.
    """

    def __init__(self, pair, truth, noise_mm):
        self.points, self.truth, self.noise_mm = pair.moving_points, truth, noise_mm
        self.noise = []

    def __call__(self, perturbed):
        generator = torch.Generator().manual_seed(len(self.noise))
        shape = self.truth.field.shape
        self.noise.append(self.noise_mm * torch.randn(shape, generator=generator))
        before, after = (
            np.column_stack([p.numpy(), np.ones(len(p))])
            for p in (self.points, perturbed.moving_points)
        )
        motion = torch.from_numpy(np.linalg.lstsq(before, after, rcond=None)[0].T)
        field = self.truth.field + self.noise[-1]
        return RegisteredPair(perturbed, Transform(motion @ AFFINE, field, self.truth.grid))


def case(orientation, noise_mm, *, own_grid=False):
    """Return a pair on unequal grids, the stub for it and the grid of the stub's field."""
    phantom = make_pair(
        2, shape=(18, 20, 16), spacing=(5, 4, 7), moving_shape=(24, 17, 21), moving_axes="SAR",
        moving_spacing=(4, 6, 5), **ORIENTATIONS[orientation],
    )  # fmt: skip
    pair, truth = in_memory(phantom), phantom.truth
    if own_grid:  # the working grid of a model is another one, and extends beyond the fixed grid
        grid = placed_grid((23, 21, 19), (6, 6, 6), "ALI", 10)
        truth = Transform(torch.eye(4), torch.zeros(3, *grid.shape), grid)
    return pair, Stub(pair, truth, noise_mm)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_registration_that_is_equivariant_has_no_uncertainty(orientation):
    pair, stub = case(orientation, 0)
    assert float(estimate_uncertainty(stub, pair, 4).max()) < 1e-3


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_standard_deviation_of_known_noise_is_recovered(orientation):
    pair, stub = case(orientation, 1.5)
    found = estimate_uncertainty(stub, pair, 6)
    linear = AFFINE[:3, :3].numpy()
    noise = np.stack([np.einsum("kj,jxyz->kxyz", linear, n.double()) for n in stub.noise])
    expected = np.sqrt(noise.var(axis=0, ddof=1).sum(axis=0))
    assert found.numpy() == pytest.approx(expected, abs=2e-3)
    theory = 1.5**2 * np.square(linear).sum()  # the expected sum of the three variances
    assert float(found.double().square().mean()) == pytest.approx(theory, rel=0.02)


def test_a_field_on_a_grid_of_its_own_is_sampled_at_the_fixed_voxels():
    pair, stub = case("left-handed oblique", 2, own_grid=True)
    found = estimate_uncertainty(stub, pair, 3)
    index = torch.tensor([[0, 0, 0], [3, 17, 5], [17, 19, 15], [9, 8, 11]])
    points = pair.fixed.grid.to_world(index)
    mapped = [
        Transform(AFFINE, noise, stub.truth.grid).map_points(points).numpy() for noise in stub.noise
    ]
    expected = np.sqrt(np.var(mapped, axis=0, ddof=1).sum(axis=1))
    assert found[tuple(index.T)].numpy() == pytest.approx(expected, abs=2e-3)


def test_the_registration_keeps_its_transform_and_gains_figures_and_a_panel():
    pair, stub = case("oblique", 1)
    registered = RegisteredPair(pair, stub.truth, notes={"x": 1}, seconds={"deformation": 2.0})
    found = with_uncertainty(stub, pair, registered, 5)
    assert found.transform is registered.transform
    assert found.notes["x"] == 1
    assert found.notes["uncertainty"]["perturbations"] == 5
    assert set(found.seconds) == {"deformation", "uncertainty"}
    figures = found.measured.figures
    mean = float(found.uncertainty.mean())
    assert figures["uncertainty_mm_mean"] == pytest.approx(mean, rel=0.1)
    assert mean < figures["uncertainty_mm_p95"] < float(found.uncertainty.max())
    panel = draw_panels(found)[-1]
    assert panel.title == "Uncertainty"
    assert panel.strips[0].pixels.std() > 10
    assert [p.title for p in draw_panels(registered)] == [p.title for p in draw_panels(found)][:-1]


def test_the_figures_are_those_of_the_body():
    pair, stub = case("permuted", 0)
    body = pair.fixed_labels.data > 0
    spread = torch.where(body, 2.0, 100.0)
    figures = measure(pair, stub.truth, None, spread).figures
    assert 2 <= figures["uncertainty_mm_mean"] < 30  # background in the outermost voxels
    uniform = measure(pair, stub.truth, None, torch.full_like(spread, 3.0)).figures
    assert uniform["uncertainty_mm_mean"] == pytest.approx(3)
    assert uniform["uncertainty_mm_p95"] == pytest.approx(3)


@pytest.mark.parametrize(("millimetres", "colour"), [(0, (0, 0, 4)), (2, (252, 255, 164))])
def test_the_colours_end_at_the_95th_percentile(millimetres, colour):
    pair, stub = case("LPS", 0)
    uniform = torch.full(pair.fixed.grid.shape, float(millimetres))
    pixels = draw_panels(RegisteredPair(pair, stub.truth, uncertainty=uniform))[-1].strips[0].pixels
    share = (pixels == np.array(colour)).all(axis=2).mean()
    assert share > 0.8  # the rest are gaps and letters


def test_a_perturbed_registration_with_nan_is_an_error():
    pair, stub = case("RAS", 0)
    broken = replace(stub.truth, field=torch.full_like(stub.truth.field, float("nan")))
    stub.truth = broken
    with pytest.raises(UserError, match=r"under perturbation 1 has .* NaN"):
        estimate_uncertainty(stub, pair, 2)
