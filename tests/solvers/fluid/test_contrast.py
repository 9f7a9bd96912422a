"""The agreement of two images: what counts as structure, and what as noise."""

import pytest
import torch

from zoo.losses.filters import gaussian_taps, separable_filter
from zoo.solvers.fluid.contrast import measure_agreement
from zoo.solvers.fluid.steps import (
    FAINT_VARIANCE,
    CompiledSteps,
    LevelImages,
    StepSettings,
    TorchSteps,
)

SHAPE = (40, 44, 36)
STILL = torch.zeros(1, 3, *SHAPE)


def texture(*, sigma, seed):
    """Return smooth noise [1, 1, X, Y, Z] with a standard deviation of one."""
    noise = torch.randn(1, 1, *SHAPE, generator=torch.Generator().manual_seed(seed))
    noise = separable_filter(noise, [gaussian_taps(sigma)] * 3, edge="replicate")
    return noise / noise.std()


def body(faint_seed, *, faint=0.01):
    """Return an image with a structure in one half and a faint texture in the other."""
    image = 0.5 + 0.15 * texture(sigma=2.0, seed=1)
    image[:, :, :20] = 0.5
    return image + faint * texture(sigma=1.0, seed=faint_seed)


def pair(moving, fixed):
    return LevelImages(moving, fixed, torch.ones_like(moving), torch.ones_like(fixed))


def test_noise_in_flat_regions_does_not_lower_the_agreement():
    agreement = measure_agreement(pair(body(2), body(3)), STILL)
    assert agreement.mean > 0.9
    assert agreement.one_contrast
    assert abs(agreement.faint) < 0.1


def test_a_faint_texture_that_both_images_share_is_told_from_noise():
    agreement = measure_agreement(pair(body(2), body(2)), STILL)
    assert agreement.faint == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("kind", [TorchSteps, CompiledSteps])
def test_faint_windows_move_nothing_unless_they_count(kind):
    images = pair(body(2), body(3))
    all_count, _ = kind(images).update(STILL, 1.3, 0.5)
    moved = float(all_count[:, :, :12].norm(dim=1).mean())
    step, _ = kind(images, StepSettings(least_variance=FAINT_VARIANCE)).update(STILL, 1.3, 0.5)
    assert moved > 0.1
    assert float(step[:, :, :12].norm(dim=1).max()) < 0.01 * moved


@pytest.mark.parametrize("kind", [TorchSteps, CompiledSteps])
def test_the_gain_multiplies_short_steps(kind):
    images = pair(torch.roll(body(2), 1, dims=2), body(2))
    steps = [
        kind(images, StepSettings(gain=gain)).update(STILL, 1.3, 1e6)[0].clone()
        for gain in (1.0, 3.0)
    ]
    torch.testing.assert_close(3 * steps[0], steps[1], rtol=1e-4, atol=1e-5)
