import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, map_coordinates

from zoo.geometry.sampling import identity_index, sample, sample_gradient
from zoo.solvers.adam import (
    box_spline,
    from_subcell,
    refine_by_adam,
    roughness_gradient,
    to_subcell,
)

SHAPE = (9, 7, 8)


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("outside", ["border", "zeros"])
@pytest.mark.parametrize("threads", [1, 2])
def test_gradient_of_sampling_is_that_of_autograd(outside, threads):
    image, weight = random(1, 4, 10, 6, 11), random(1, 4, *SHAPE, seed=1)
    index = (identity_index(SHAPE) + random(1, 3, *SHAPE, seed=2)).requires_grad_()
    (sample(image, index, outside=outside) * weight).sum().backward()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    result = sample_gradient(image, index.detach(), weight, outside=outside)
    torch.set_num_threads(before)
    torch.testing.assert_close(result, index.grad)


def test_gradient_of_roughness_is_that_of_autograd():
    field = random(1, 3, *SHAPE).double().requires_grad_()
    energy = sum((field.diff(dim=k) ** 2).mean() for k in (2, 3, 4))
    energy.backward()
    result = roughness_gradient(field.detach())
    torch.testing.assert_close(result, field.grad)
    torch.testing.assert_close((result * field.detach()).sum() / 2, energy.detach())


def test_bending_does_not_penalise_an_affine_motion_inside():
    matrix = random(3, 3).double()
    field = torch.einsum("ij,bjxyz->bixyz", matrix, identity_index(SHAPE).double())
    bent = roughness_gradient(roughness_gradient(field))
    assert bent[..., 2:-2, 2:-2, 2:-2].abs().max() < 1e-12


def test_spline_is_its_own_adjoint():
    a, b = random(1, 3, *SHAPE), random(1, 3, *SHAPE, seed=1)
    torch.testing.assert_close((box_spline(a) * b).sum(), (a * box_spline(b)).sum())


def test_steps_are_those_of_autograd_and_adam():
    """The reference is the same loss in double precision with autograd and torch's optimiser."""
    fixed, moving = (random(1, 3, *SHAPE, seed=k).double() for k in (3, 4))
    start = random(1, 3, *SHAPE, seed=5).double() * 0.1
    weights = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([weights], lr=0.5)
    for _ in range(4):
        optimizer.zero_grad()
        smooth = weights
        for _ in range(3):
            smooth = torch.nn.functional.avg_pool3d(smooth, 3, 1, 1)
        index = identity_index(SHAPE).double() + smooth
        loss = (sample(moving, index) - fixed).square().sum(1).mean()
        loss = loss + 0.7 * sum((smooth.diff(dim=k) ** 2).mean() for k in (2, 3, 4))
        loss.backward()
        optimizer.step()
    result = refine_by_adam(
        fixed, [moving], start, iterations=4, diffusion=0.7, rate=0.5, last_rate=0.5
    )
    torch.testing.assert_close(result, smooth.detach(), atol=1e-9, rtol=1e-6)


def test_recovers_a_smooth_deformation():
    rng = np.random.default_rng(0)
    shape = (24, 22, 20)
    moving = np.stack([gaussian_filter(rng.standard_normal(shape), 2) for _ in range(6)])
    truth = np.stack([gaussian_filter(rng.standard_normal(shape), 5) for _ in range(3)])
    truth *= 1.5 / np.abs(truth).max()
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")) + truth
    fixed = np.stack([map_coordinates(m, index, order=3, mode="nearest") for m in moving])
    fixed, moving = (torch.tensor(v / moving.std())[None].float() for v in (fixed, moving))
    start = torch.zeros(1, 3, *shape)
    result = refine_by_adam(
        fixed, [moving], start, iterations=60, diffusion=0.1, bending=0.2, last_rate=0.1
    )[0].numpy()
    error = np.linalg.norm(result - truth, axis=0)[3:-3, 3:-3, 3:-3].mean()
    assert error < 0.15 * np.linalg.norm(truth, axis=0).mean()


def test_interpolates_the_field_at_subcells():
    """A linear field at the subcells of its cells is the finer linear field inside."""
    coarse = identity_index((6, 5, 4))
    fine = (identity_index((12, 10, 8)) - 0.5) / 2
    for subcell in np.ndindex(2, 2, 2):
        x, y, z = (slice(start, None, 2) for start in subcell)
        result = to_subcell(coarse, subcell, 2)
        inner = (..., slice(1, -1), slice(1, -1), slice(1, -1))
        torch.testing.assert_close(result[inner], fine[:, :, x, y, z][inner])


@pytest.mark.parametrize("detail", [1, 2, 3])
def test_interpolation_at_subcells_has_the_right_adjoint(detail):
    a, b = random(1, 3, *SHAPE), random(1, 3, *SHAPE, seed=1)
    for subcell in np.ndindex(detail, detail, detail):
        one = (to_subcell(a, subcell, detail) * b).sum()
        two = (a * from_subcell(b, subcell, detail)).sum()
        torch.testing.assert_close(one, two, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("shares", [1, 2])
def test_features_finer_than_the_cells_are_compared_in_turn(shares):
    shape = (24, 22, 20)
    rng = np.random.default_rng(1)
    moving = [gaussian_filter(rng.standard_normal(shape), 1) for _ in range(shares)]
    moving = torch.tensor(np.stack(moving)).float()[None]
    shift = torch.tensor([0.6, -0.4, 0.8])
    where = identity_index(shape) + shift.view(1, 3, 1, 1, 1)
    fixed = sample(moving, where)
    start = torch.zeros(1, 3, 12, 11, 10)
    result = refine_by_adam(
        fixed / fixed.std(),
        [moving / moving.std()],
        start,
        detail=2,
        shares=shares,
        iterations=48,
        bending=0.5,
        smoothing=1,
        rate=0.5,
        last_rate=0.03,
    )
    inner = result[0, :, 2:-2, 2:-2, 2:-2] * 2  # in cells of the features
    assert (inner - shift.view(3, 1, 1, 1)).norm(dim=0).mean() < 0.15
