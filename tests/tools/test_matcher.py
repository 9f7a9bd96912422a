"""The matcher: crops stay true when turned, the first filters, and what the four U-Nets inherit."""

from __future__ import annotations

from collections import deque

import pytest
import torch
import torch.nn.functional as F
from compact.matcher import draw_crops, easy_share, matched, matching_losses, show_slopes

from zoo.geometry.sampling import identity_index, sample
from zoo.networks.unet import UNet
from zoo.synthesis.subjects import draw_pair

SIZE = 32


@pytest.fixture(scope="module")
def subjects():
    shapes = ((64,) * 3, (SIZE,) * 3)
    return deque(
        draw_pair(seed, shape, contrasts=2, clean=True) for seed, shape in enumerate(shapes)
    )


def crops(subjects, alike, seed=0):
    return draw_crops(subjects, SIZE, 12, alike, torch.Generator().manual_seed(seed))


def test_turned_crops_still_match_where_the_truth_says(subjects):
    drawn = crops(subjects, alike=1.0)
    index = identity_index((SIZE,) * 3) + drawn.truth
    inside = ((index >= 0) & (index <= SIZE - 1)).all(dim=1)
    there = (sample(drawn.moving, index) - drawn.fixed)[:, 0].abs()[inside].mean()
    stay = (drawn.moving - drawn.fixed)[:, 0].abs()[inside].mean()
    assert there < 0.4 * stay  # what is left is interpolation
    assert not torch.equal(drawn.truth, crops(subjects, alike=1.0, seed=1).truth)


def test_crops_show_one_contrast_or_two_as_asked(subjects):
    def unlike(alike):
        drawn = crops(subjects, alike)
        index = identity_index((SIZE,) * 3) + drawn.truth
        rest = (sample(drawn.moving, index) - drawn.fixed).abs().mean(dim=(1, 2, 3, 4))
        return int((rest > 0.05).sum())

    assert unlike(1.0) == 0
    assert 2 <= unlike(0.0) <= 10


def test_recoloured_crops_of_two_contrasts_are_alike_where_the_truth_says(subjects):
    def likeness(recolour):
        random = torch.Generator().manual_seed(0)
        drawn = draw_crops(subjects, SIZE, 12, 0.0, random, recolour=recolour)
        index = identity_index((SIZE,) * 3) + drawn.truth
        images = torch.cat([sample(drawn.moving, index), drawn.fixed], dim=1).flatten(2)
        return [float(torch.corrcoef(pair)[0, 1]) for pair in images]

    as_seen, recoloured = likeness(False), likeness(True)
    assert min(recoloured) > max(0.5, min(as_seen) + 0.1)
    assert sum(recoloured) > sum(as_seen)


@pytest.mark.parametrize(
    ("progress", "share"), [(0, 1), (0.1, 1), (0.25, 0.6), (0.4, 0.2), (1, 0.2)]
)
def test_pairs_are_easy_at_first(progress, share):
    assert easy_share(progress, 0.2) == pytest.approx(share)


@pytest.mark.parametrize("axis", range(3))
def test_the_first_filters_show_slope_plus_and_minus_difference(axis):
    unet = UNet(width=8)
    show_slopes(unet)
    slope, shift = 0.02, 1.5
    ramp = slope * identity_index((16,) * 3)[:, axis : axis + 1]
    moving, fixed = ramp, ramp + slope * shift  # fixed(x) = moving(x + shift)
    with torch.no_grad():
        seen = F.conv3d(
            torch.cat([moving, fixed], dim=1), unet.downConvs[0].weight, stride=2, padding=1
        )[0, :, 2:-2, 2:-2, 2:-2]
    expected = torch.zeros(8)
    for k in range(3):
        own = slope if k == axis else 0.0
        expected[2 * k] = 8 * (own + slope * shift)
        expected[2 * k + 1] = 8 * (own - slope * shift)
    torch.testing.assert_close(seen.mean(dim=(1, 2, 3)), expected, atol=1e-5, rtol=1e-4)


def test_acting_twice_adds_what_is_left():
    unet = UNet(width=8).eval()
    with torch.no_grad():
        unet.lastConv.bias.copy_(torch.tensor([0.2, -0.1, 0.3]))
    image = torch.rand(1, 1, SIZE, SIZE, SIZE)
    once, twice = matched(unet, image, image, 2)
    step = torch.tensor([0.02, -0.01, 0.03]).view(1, 3, 1, 1, 1) * (SIZE - 1)
    torch.testing.assert_close(once, step.expand_as(once), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(twice, 2 * once, atol=1e-5, rtol=1e-4)


def test_a_u_net_that_finds_nothing_is_off_by_the_truth(subjects):
    drawn = crops(subjects, alike=0.5)
    losses = matching_losses(UNet(width=8).eval(), drawn, times=2)
    off = drawn.truth.norm(dim=1)[drawn.fixed[:, 0] > 0.02].mean()
    torch.testing.assert_close(losses["loss"].detach(), off)
    torch.testing.assert_close(losses["error"], off)
