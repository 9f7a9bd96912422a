"""Recolouring gives an image the contrast of another image of the same anatomy."""

import numpy as np
import pytest
import torch

from zoo.networks import GradICON
from zoo.networks.recolour import BINS, recoloured, recolouring_curve
from zoo.synthesis.subjects import draw_pair


@pytest.fixture(scope="module")
def brain():
    """Return two aligned contrasts [1, 1, 40, 44, 36] of one synthetic anatomy."""
    pair = draw_pair(3, (40, 44, 36), contrasts=2, region="brain", clean=True, layered=True)
    return pair.moving[:1, None], pair.moving[1:, None]


def correlation(one, other):
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])


def test_the_new_values_are_those_of_sorting_and_ranking():
    """The reference is numpy's sort; the levels are too far apart for bins to blur together."""
    random = np.random.default_rng(0)
    levels = np.array([0, 15, 30, 47, 63])
    moving = random.choice(levels, 4000, p=[0.4, 0.1, 0.2, 0.2, 0.1])
    fixed_values = {0: 0.05, 15: 0.9, 30: 0.3, 47: 0.6, 63: 0.1}
    fixed = np.array([fixed_values[v] for v in moving]) + random.normal(0, 0.02, 4000)

    means = {v: fixed[moving == v].mean() for v in levels}
    below, expected = 0, {}
    for v in sorted(levels, key=means.__getitem__):
        count = (moving == v).sum()
        expected[v] = np.quantile(fixed, (below + count / 2) / 4000)
        below += count

    new = recolouring_curve(torch.tensor(moving / 63.0).float(), torch.tensor(fixed).float())
    assert len(new) == BINS
    for v in levels:
        assert float(new[v]) == pytest.approx(expected[v], abs=2e-3)


@pytest.mark.parametrize("change", [lambda x: 1 - x, lambda x: (2 * x - 1).abs()])
def test_the_moving_image_takes_the_contrast_of_the_fixed_one(brain, change):
    moving, _ = brain
    fixed = change(moving)
    assert correlation(recoloured(moving, fixed), fixed) > 0.99


def test_two_contrasts_of_one_anatomy_become_alike():
    pair = draw_pair(1, (40, 44, 36), contrasts=2, region="brain", clean=True, layered=True)
    moving, fixed = pair.moving[:1, None], pair.moving[1:, None]
    before, after = correlation(moving, fixed), correlation(recoloured(moving, fixed), fixed)
    assert after > before + 0.05


def test_an_image_in_its_own_contrast_stays_as_it_is(brain):
    for image in brain:
        shifted = image.roll(2, dims=3)
        torch.testing.assert_close(recoloured(shifted, image), shifted)


def test_the_order_of_axes_and_the_batch_do_not_matter(brain):
    one, two = brain
    turned = recoloured(one.permute(0, 1, 4, 2, 3).flip(2), two.permute(0, 1, 4, 2, 3).flip(2))
    straight = recoloured(one, two)
    torch.testing.assert_close(turned, straight.permute(0, 1, 4, 2, 3).flip(2), atol=0.02, rtol=0)
    both = recoloured(torch.cat([one, two]), torch.cat([two, one]))
    assert torch.equal(both[:1], straight)
    assert torch.equal(both[1:], recoloured(two, one))


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_constant_images_give_no_nan(value):
    flat, image = torch.full((1, 1, 8, 8, 8), value), torch.rand(1, 1, 8, 8, 8)
    for out in (recoloured(flat, image), recoloured(image, flat)):
        assert torch.isfinite(out).all()
        assert 0 <= float(out.min()) <= float(out.max()) <= 1


def test_a_network_with_recolouring_equals_the_plain_network_on_recoloured_images(brain):
    torch.manual_seed(0)
    plain = GradICON(width=2, size=(66, 66, 66)).eval()
    for weight in plain.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    recolouring = GradICON(width=2, size=(66, 66, 66), recolour=True).eval()
    recolouring.load_state_dict(plain.state_dict())
    moving, _ = brain
    moving = torch.nn.functional.interpolate(moving, size=(72, 70, 68))
    inverted = 1 - moving.roll(1, dims=2)
    moving_input, fixed_input = recolouring.network_input(moving, inverted)
    with torch.no_grad():
        expected = plain.map(moving_input, fixed_input).on_grid((72, 70, 68))
        result = recolouring.map(moving, inverted).on_grid((72, 70, 68))
    assert torch.equal(result, expected)
    assert correlation(moving_input, fixed_input) > 0.7 > 0 > correlation(moving, inverted)
