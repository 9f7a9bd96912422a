import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, map_coordinates

from zoo.geometry.sampling import identity_index, sample, sample_gradient
from zoo.solvers.adam import refine, roughness, roughness_gradient, spline

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
    found = sample_gradient(image, index.detach(), weight, outside=outside)
    torch.set_num_threads(before)
    torch.testing.assert_close(found, index.grad)


def test_gradient_of_roughness_is_that_of_autograd():
    field = random(1, 3, *SHAPE).double().requires_grad_()
    loss = sum((field.diff(dim=k) ** 2).mean() for k in (2, 3, 4))
    loss.backward()
    assert roughness(field.detach()) == pytest.approx(loss.item())
    torch.testing.assert_close(roughness_gradient(field.detach()), field.grad)


def test_spline_is_its_own_adjoint():
    a, b = random(1, 3, *SHAPE), random(1, 3, *SHAPE, seed=1)
    torch.testing.assert_close((spline(a) * b).sum(), (a * spline(b)).sum())


def test_steps_are_those_of_autograd_and_adam():
    """The same loss by autograd, in double precision, with torch's optimiser."""
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
    found = refine(fixed, moving, start, iterations=4, regularity=0.7, rate=0.5)
    torch.testing.assert_close(found, smooth.detach(), atol=1e-9, rtol=1e-6)


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
    found = refine(fixed, moving, start, iterations=60, regularity=0.2)[0].numpy()
    error = np.linalg.norm(found - truth, axis=0)[3:-3, 3:-3, 3:-3].mean()
    assert error < 0.15 * np.linalg.norm(truth, axis=0).mean()


def test_stops_when_the_loss_does():
    image = random(1, 2, *SHAPE)
    told = []
    still = torch.zeros(1, 3, *SHAPE)
    found = refine(
        image, image, still, iterations=50, regularity=1, tolerance=1e-3, report=told.append
    )
    assert len(told) < 50
    assert found.abs().mean() < 0.05
