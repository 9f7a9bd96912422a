"""Masks: what lies outside has no influence on MCBO."""

import pytest
import torch
from support.mcbo_cases import pair

from zoo.solvers.mcbo import MCBO


def test_voxels_outside_a_mask_do_not_count(small):
    fixed, moving, truth = small
    corrupted = moving.clone()
    corrupted[:, :, 24:] = torch.rand(48, 48, 12, generator=torch.Generator().manual_seed(0)) * 20
    hidden = torch.ones(1, 2, 48, 48, 36)
    hidden[:, 0, :, :, 24:] = 0
    image = pair(corrupted, fixed)
    inner = (..., slice(6, -6), slice(6, -6), slice(6, 18))

    def miss(result):
        return float((result[0] - truth)[inner].norm(dim=0).mean())

    assert miss(MCBO()(image, hidden)) < 0.5 * miss(MCBO()(image))


def half_mask(channel, size=(48, 48, 36)):
    """Return masks [1, 2, X, Y, Z] that exclude the upper third of one channel."""
    masks = torch.ones(1, 2, *size)
    masks[:, channel, :, :, 24:] = 0
    return masks


@pytest.mark.parametrize("mode", ["accurate", "convexadam"])
@pytest.mark.parametrize("channel", [0, 1], ids=["moving", "fixed"])
def test_values_outside_a_mask_have_no_influence_at_all(small, mode, channel):
    image = pair(small[1], small[0])
    changed = image.clone()
    changed[:, channel, :, :, 24:] = 1000
    masks = half_mask(channel)
    solver = MCBO(mode, changes={"adam_iterations": [9] * (2 if mode == "accurate" else 1)})
    expected = solver(image, masks)
    assert torch.equal(solver(changed, masks), expected)
    assert not torch.equal(solver(image), expected)


def test_outside_the_fixed_mask_the_field_is_smooth(small):
    """The excluded half of the fixed image is noise, which the field must not follow."""
    fixed, moving, _ = small
    noise = torch.rand(48, 48, 12, generator=torch.Generator().manual_seed(1)) * 4
    fixed = torch.cat([fixed[..., :24], noise], 2)
    image = pair(moving, fixed)
    masked, unmasked = MCBO()(image, half_mask(1)), MCBO()(image)

    def roughness(field):
        return float(field[..., 27:].diff(n=2, dim=2).square().mean())

    assert roughness(masked) < 0.1 * roughness(unmasked)


@pytest.mark.parametrize("mode", ["accurate", "convexadam"])
def test_masks_of_ones_change_nothing(small, mode):
    image = pair(small[1], small[0])[..., :24]
    assert torch.equal(MCBO(mode)(image, torch.ones_like(image)), MCBO(mode)(image))
