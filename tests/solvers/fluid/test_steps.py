"""The steps of the fluid refinement: compiled loops, torch, and the derivative by autograd."""

import pytest
import torch
import torch.nn.functional as F

from zoo.geometry.sampling import identity_index, sample
from zoo.losses.filters import gaussian_taps, separable_filter
from zoo.solvers.fluid.steps import (
    LEAST_VARIANCE,
    CompiledSteps,
    LevelImages,
    StepSettings,
    TorchSteps,
)

SHAPE = (23, 30, 19)


def smooth_noise(*shape, sigma, seed):
    noise = torch.randn(1, *shape, generator=torch.Generator().manual_seed(seed))
    return separable_filter(noise, [gaussian_taps(sigma)] * 3, edge="replicate")


def texture(seed):
    image = smooth_noise(1, *SHAPE, sigma=1.5, seed=seed)
    return (image - image.min()) / (image.max() - image.min())


def level(*, cut=True):
    moving = texture(1)
    fixed = 0.7 * moving + 0.3 * texture(2)
    moving_mask, fixed_mask = torch.ones_like(moving), torch.ones_like(moving)
    if cut:
        moving_mask[:, :, :4] = 0
        fixed_mask[..., 15:] = 0
    return LevelImages(moving, fixed, moving_mask, fixed_mask)


FIELD = 6 * smooth_noise(3, *SHAPE, sigma=3.0, seed=3)


@pytest.mark.slow
@pytest.mark.parametrize(("threads", "radius"), [(1, 2), (3, 2), (1, 3)])
def test_the_compiled_steps_are_those_of_torch(threads, radius):
    settings = StepSettings(radius)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        ours, theirs = CompiledSteps(level(), settings), TorchSteps(level(), settings)
        for field in (FIELD, 0.5 * FIELD):  # the floor is that of the first call
            step, correlation = ours.update(field, 1.3, 0.5)
            expected, of_torch = theirs.update(field, 1.3, 0.5)
            assert (step - expected).abs().max() < 1e-4 * expected.abs().max()
            assert correlation == pytest.approx(of_torch, abs=1e-5)
            torch.testing.assert_close(
                ours.compose(field, step), theirs.compose(field, step), atol=2e-5, rtol=0
            )
            torch.testing.assert_close(ours.smooth(field, 0.8), theirs.smooth(field, 0.8))
    finally:
        torch.set_num_threads(before)


def test_the_number_of_threads_changes_no_bit():
    before, images = torch.get_num_threads(), level()
    results = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        results.append(CompiledSteps(images).update(FIELD, 2.0, 0.5)[0].clone())
    torch.set_num_threads(before)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@pytest.mark.parametrize("radius", [2, 3])
def test_the_force_is_the_derivative_of_the_cubed_correlations(radius):
    """Almost without smoothing, and with a floor that dominates, a step is along the gradient."""
    images = level(cut=False)
    steps = TorchSteps(images, StepSettings(radius))
    steps.floor = torch.tensor(1e6)
    step, correlation = steps.update(torch.zeros(1, 3, *SHAPE), 0.2, 1e9)

    warped = images.moving.clone().requires_grad_()
    correlations = window_correlations(warped, images.fixed, radius)
    assert correlation == pytest.approx(correlations.mean().item(), abs=1e-5)
    correlations.clamp_min(0).pow(3).sum().backward()
    gradient = torch.cat([torch.gradient(images.moving, dim=k)[0] for k in (2, 3, 4)], 1)
    expected = warped.grad.detach() * gradient
    inner = (..., slice(6, -6), slice(6, -6), slice(6, -6))
    a, b = step[inner].flatten(), expected[inner].flatten()
    assert torch.dot(a, b) / (a.norm() * b.norm()) > 0.9999


def window_correlations(warped, fixed, radius):
    """Return the correlation of every window that counts, by average pooling."""
    size = 2 * radius + 1
    inside = F.avg_pool3d(torch.ones_like(fixed), size, 1, radius)

    def mean(x):
        return F.avg_pool3d(x, size, 1, radius) / inside

    f, w = mean(fixed), mean(warped)
    var_f = mean(fixed**2) - f**2
    var_w = mean(warped**2) - w**2
    counts = (inside >= 0.5) & (var_f >= LEAST_VARIANCE) & (var_w >= LEAST_VARIANCE)
    covariance = mean(fixed * warped) - f * w
    return (covariance / (var_f * var_w).sqrt())[counts]


@pytest.mark.parametrize("kind", [CompiledSteps, TorchSteps])
def test_a_composition_applies_the_inner_displacement_first(kind):
    outer, inner = FIELD, FIELD.flip(2) * 0.3
    index = identity_index(SHAPE)
    expected = sample(outer, index + inner) + inner
    torch.testing.assert_close(kind(level()).compose(outer, inner), expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("kind", [CompiledSteps, TorchSteps])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_step_points_along_the_axis_of_a_shift(kind, axis):
    """The moving image is the fixed one, moved by a voxel along one axis."""
    fixed = texture(4)
    ones = torch.ones_like(fixed)
    images = LevelImages(fixed.roll(1, axis + 2), fixed, ones, ones)
    step = kind(images).update(torch.zeros(1, 3, *SHAPE), 3.0, 10.0)[0]
    mean = step[..., 7:-7, 7:-7, 7:-7].mean((0, 2, 3, 4))
    assert 0.6 < mean[axis] < 1.4
    others = [k for k in range(3) if k != axis]
    assert mean[others].abs().max() < 0.4 * mean[axis]


@pytest.mark.parametrize("kind", [CompiledSteps, TorchSteps])
def test_values_outside_the_masks_do_not_matter(kind):
    """The layer beside the mask of the moving image counts, as the gradient reaches into it."""
    images = level()
    outside = images.moving_mask == 0
    outside[:, :, 3] = False
    spoiled = LevelImages(
        images.moving.masked_fill(outside, 0.37),
        torch.where(images.fixed_mask > 0, images.fixed, 0.91),
        images.moving_mask,
        images.fixed_mask,
    )
    zero = torch.zeros(1, 3, *SHAPE)
    step = kind(images).update(zero, 1.0, 0.5)[0].clone()
    other = kind(spoiled).update(zero, 1.0, 0.5)[0]
    torch.testing.assert_close(step, other, atol=1e-5, rtol=1e-4)
