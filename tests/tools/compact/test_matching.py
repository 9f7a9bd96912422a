"""Matching of crops: the crops keep their truth, the first filters, passes and losses."""

from __future__ import annotations

from collections import deque

import pytest
import torch
import torch.nn.functional as F
from compact.crops import draw_crops, easy_share, in_contrast_of
from compact.matching import matched, matching_losses, set_slope_filters

from zoo.geometry.sampling import identity_index, sample
from zoo.networks.recolour import recoloured
from zoo.networks.unet import UNet
from zoo.synthesis.subjects import draw_pair

SIZE = 32


@pytest.fixture(scope="module")
def subjects():
    shapes = ((64,) * 3, (SIZE,) * 3)
    return deque(
        draw_pair(seed, shape, contrasts=2, clean=True) for seed, shape in enumerate(shapes)
    )


def crops(subjects, same_contrast, seed=0):
    return draw_crops(subjects, SIZE, 12, same_contrast, torch.Generator().manual_seed(seed))


def test_reoriented_crops_still_match_under_the_truth(subjects):
    drawn = crops(subjects, same_contrast=1.0)
    index = identity_index((SIZE,) * 3) + drawn.truth
    inside = ((index >= 0) & (index <= SIZE - 1)).all(dim=1)
    after = (sample(drawn.moving, index) - drawn.fixed)[:, 0].abs()[inside].mean()
    before = (drawn.moving - drawn.fixed)[:, 0].abs()[inside].mean()
    assert after < 0.4 * before  # the rest is interpolation
    assert not torch.equal(drawn.truth, crops(subjects, same_contrast=1.0, seed=1).truth)


def test_a_share_of_the_crops_has_one_contrast(subjects):
    def unlike(same_contrast):
        drawn = crops(subjects, same_contrast)
        index = identity_index((SIZE,) * 3) + drawn.truth
        rest = (sample(drawn.moving, index) - drawn.fixed).abs().mean(dim=(1, 2, 3, 4))
        return int((rest > 0.05).sum())

    assert unlike(1.0) == 0
    assert 2 <= unlike(0.0) <= 10


def test_recoloured_crops_of_two_contrasts_are_similar_under_the_truth(subjects):
    def correlations(recolour):
        generator = torch.Generator().manual_seed(0)
        drawn = draw_crops(subjects, SIZE, 12, 0.0, generator, recolour=recolour)
        index = identity_index((SIZE,) * 3) + drawn.truth
        images = torch.cat([sample(drawn.moving, index), drawn.fixed], dim=1).flatten(2)
        return [float(torch.corrcoef(pair)[0, 1]) for pair in images]

    original, recoloured = correlations(False), correlations(True)
    assert min(recoloured) > max(0.5, min(original) + 0.1)
    assert sum(recoloured) > sum(original)


def test_every_second_voxel_decides_how_a_large_image_is_recoloured():
    pair = draw_pair(5, (64,) * 3, contrasts=2, region="brain", layered=True, clean=True)
    moving, fixed = pair.moving[1], pair.fixed[0]
    whole = recoloured(moving[None, None], fixed[None, None])[0, 0]
    quick = in_contrast_of(moving, fixed)
    assert float((whole - moving).abs().mean()) > 0.05
    assert float((quick - whole).abs().mean()) < 0.02
    small = in_contrast_of(moving[:32], fixed[:32])
    torch.testing.assert_close(
        small, recoloured(moving[None, None, :32], fixed[None, None, :32])[0, 0]
    )


@pytest.mark.parametrize(
    ("progress", "share"), [(0, 1), (0.1, 1), (0.25, 0.6), (0.4, 0.2), (1, 0.2)]
)
def test_all_pairs_are_easy_at_first(progress, share):
    assert easy_share(progress, 0.2) == pytest.approx(share)


@pytest.mark.parametrize("axis", range(3))
def test_the_first_filters_compute_slope_plus_and_minus_difference(axis):
    unet = UNet(width=8)
    set_slope_filters(unet)
    slope, shift = 0.02, 1.5
    ramp = slope * identity_index((16,) * 3)[:, axis : axis + 1]
    moving, fixed = ramp, ramp + slope * shift  # fixed(x) = moving(x + shift)
    with torch.no_grad():
        channels = F.conv3d(
            torch.cat([moving, fixed], dim=1), unet.downConvs[0].weight, stride=2, padding=1
        )[0, :, 2:-2, 2:-2, 2:-2]
    expected = torch.zeros(8)
    for k in range(3):
        own = slope if k == axis else 0.0
        expected[2 * k] = 8 * (own + slope * shift)
        expected[2 * k + 1] = 8 * (own - slope * shift)
    torch.testing.assert_close(channels.mean(dim=(1, 2, 3)), expected, atol=1e-5, rtol=1e-4)


def test_the_second_pass_adds_to_the_first():
    unet = UNet(width=8).eval()
    with torch.no_grad():
        unet.lastConv.bias.copy_(torch.tensor([0.2, -0.1, 0.3]))
    image = torch.rand(1, 1, SIZE, SIZE, SIZE)
    once, twice = matched(unet, image, image, 2)
    step = torch.tensor([0.02, -0.01, 0.03]).view(1, 3, 1, 1, 1) * (SIZE - 1)
    torch.testing.assert_close(once, step.expand_as(once), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(twice, 2 * once, atol=1e-5, rtol=1e-4)


def test_a_u_net_that_returns_zero_has_the_truth_as_its_error(subjects):
    drawn = crops(subjects, same_contrast=0.5)
    losses = matching_losses(UNet(width=8).eval(), drawn, passes=2)
    distance = drawn.truth.norm(dim=1)[drawn.fixed[:, 0] > 0.02].mean()
    torch.testing.assert_close(losses["loss"].detach(), distance)
    torch.testing.assert_close(losses["error"], distance)
