"""The weights of atlases, beside a reference with scipy, and on cases with known answers."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from zoo.atlases import LabelVotes, local_weights
from zoo.atlases.weights import FLAT, RADIUS_MM, UNEXPLAINED
from zoo.geometry import Grid
from zoo.synthesis.phantom import placed_grid

GRID = placed_grid((18, 16, 14), (1.0, 1.5, 2.0), "LPS", 10.0)


def noise(seed, shape=GRID.shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def reference(target, warped, region, grid):
    a, b = (
        (x.numpy().astype(float) - x[region].numpy().mean()) / x[region].numpy().std()
        for x in (target, warped)
    )
    sigma = [max(RADIUS_MM / mm, 0.5) for mm in grid.spacing]

    def mean(x):
        return ndimage.gaussian_filter(
            x, sigma, mode="nearest", radius=[round(3 * s) for s in sigma]
        )

    variance = [np.maximum(mean(x * x) - mean(x) ** 2, 0) for x in (a, b)]
    covariance = mean(a * b) - mean(a) * mean(b)
    r2 = covariance**2 / ((variance[0] + FLAT) * (variance[1] + FLAT))
    return 1 / (1 - np.clip(r2, 0, 1) + UNEXPLAINED)


def test_the_weights_are_those_of_scipy():
    target, warped = noise(0), noise(0) + 0.7 * noise(1)
    region = noise(2) > 0
    found = local_weights(target, warped, region, GRID)
    expected = reference(target, warped, region, GRID)
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-3)


@pytest.mark.parametrize(("factor", "offset"), [(1.0, 0.0), (250.0, 40.0), (-3.0, 10.0)])
def test_a_linear_function_of_the_target_has_the_largest_weight(factor, offset):
    target = noise(3)
    everywhere = torch.ones(GRID.shape, dtype=torch.bool)
    found = local_weights(target, factor * target + offset, everywhere, GRID)
    assert float(found.min()) > 0.5 / UNEXPLAINED
    unrelated = local_weights(target, noise(4), everywhere, GRID)
    assert float(unrelated.mean()) < 0.05 * float(found.mean())


def test_flat_regions_give_all_atlases_the_same_weight():
    target = torch.zeros(GRID.shape)
    target[0] = 1
    everywhere = torch.ones(GRID.shape, dtype=torch.bool)
    one = local_weights(target, target, everywhere, GRID)
    other = local_weights(target, noise(5), everywhere, GRID)
    torch.testing.assert_close(one[10:], torch.full_like(one[10:], 1 / (1 + UNEXPLAINED)))
    torch.testing.assert_close(other[10:], one[10:], rtol=0.02, atol=0)


def test_weighted_votes_beat_a_majority_that_is_wrong(tmp_path):
    """Three of five atlases have the border of the structure at a wrong place."""
    grid = Grid.from_spacing((24, 12, 12))
    truth = torch.zeros(grid.shape, dtype=torch.int32)
    truth[10:] = 4
    target = 100.0 * (truth > 0) + noise(6, grid.shape)
    votes = LabelVotes(grid, tmp_path)
    everywhere = torch.ones(grid.shape, dtype=torch.bool)
    for k, border in enumerate((10, 13, 13, 13, 10)):
        labels = torch.zeros_like(truth)
        labels[border:] = 4
        warped = 30.0 * (labels > 0) + noise(7 + k, grid.shape)
        votes.add(labels, local_weights(target, warped, everywhere, grid))
    majority, weighted = votes.majority().labels, votes.weighted().labels
    assert torch.all(majority[10:13] == 0)
    assert torch.equal(weighted, truth)
