"""The mean of images, and its sharpness."""

import math

import numpy as np
import pytest
import torch

from zoo.atlases import MeanImage, sharpen, sharpness
from zoo.errors import UserError
from zoo.geometry import Grid

GRID = Grid.from_spacing((12, 10, 8), (1.0, 2.0, 3.0))


def image(seed=0):
    return torch.rand(GRID.shape, generator=torch.Generator().manual_seed(seed))


def test_scales_and_offsets_of_single_images_do_not_matter():
    mean = MeanImage(GRID)
    for factor, offset in ((1.0, 0.0), (100.0, -7.0), (0.01, 3.0)):
        mean.add(factor * image() + offset, "one")
    found = mean.mean()
    expected = (1.0 + 100.0 + 0.01) / 3 * image() + (0.0 - 7.0 + 3.0) / 3
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-4)


def test_absolute_units_are_averaged_as_they_are():
    mean = MeanImage(GRID, normalised=False)
    for seed in range(3):
        mean.add(100 * seed + image(seed), "one")
    expected = np.mean([100 * seed + image(seed).numpy() for seed in range(3)], axis=0)
    np.testing.assert_allclose(mean.mean().numpy(), expected, rtol=1e-5)


def test_an_image_counts_only_where_it_reaches():
    mean = MeanImage(GRID, normalised=False)
    first, second = image(1), 5 + image(2)
    first[:4] = math.nan
    second[:2] = math.nan
    mean.add(first, "first")
    mean.add(second, "second")
    found = mean.mean()
    torch.testing.assert_close(found[4:], (first[4:] + second[4:]) / 2)
    torch.testing.assert_close(found[2:4], second[2:4])
    assert torch.all(found[:2] == found[2:].min())


@pytest.mark.parametrize("values", [torch.full(GRID.shape, math.nan), torch.ones(GRID.shape)])
def test_an_image_that_shows_nothing_is_refused_by_name(values):
    with pytest.raises(UserError, match="empty image shows nothing in the space of the template"):
        MeanImage(GRID).add(values, "empty image")


def test_the_sharpness_of_a_ramp_is_its_slope_over_its_range():
    x, y = (torch.arange(n, dtype=torch.float32) for n in GRID.shape[:2])
    ramp = (3 * x[:, None] + 4 * 2 * y[None])[..., None].expand(GRID.shape).contiguous()
    ordered = np.sort(ramp.numpy().ravel())
    last = len(ordered) - 1
    extent = ordered[int(0.99 * last)] - ordered[int(0.01 * last)]
    assert sharpness(ramp, GRID) == pytest.approx(5 / extent, rel=1e-5)


def test_sharpening_restores_some_of_what_blur_removed():
    sharp = torch.zeros(20, 20, 20)
    sharp[6:14, 6:14, 6:14] = 1
    grid = Grid.from_spacing(sharp.shape)
    blurred = torch.nn.functional.avg_pool3d(sharp[None, None], 3, 1, 1)[0, 0]
    restored = sharpen(blurred)
    assert sharpness(blurred, grid) < sharpness(restored, grid) < sharpness(sharp, grid)
    assert (restored - sharp).square().mean() < (blurred - sharp).square().mean()
    assert float(restored.min()) >= 0
    assert float(restored.max()) <= 1
