import itertools

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from zoo.solvers.mind import CHANNELS, box, mind_ssc


def naive_mind(image, radius, dilation):
    """MIND-SSC voxel by voxel, from its definition, with sorted channels."""

    def at(array, i):
        return array[tuple(np.clip(k, 0, n - 1) for k, n in zip(i, array.shape, strict=True))]

    shape = image.shape
    steps = [s * e for e in np.eye(3, dtype=int) for s in (1, -1)]
    pairs = [(a, b) for a, b in itertools.combinations(steps, 2) if ((a - b) ** 2).sum() == 2]
    out = np.zeros((len(pairs), *shape))
    offsets = list(itertools.product(range(-radius, radius + 1), repeat=3))
    for c, (a, b) in enumerate(pairs):
        squared = np.zeros(shape)
        for i in np.ndindex(*shape):
            difference = at(image, i + dilation * a) - at(image, i + dilation * b)
            squared[i] = difference**2
        for i in np.ndindex(*shape):
            out[c][i] = np.mean([at(squared, np.add(i, o)) for o in offsets])
    out -= out.min(0)
    variance = out.mean(0)
    variance = np.clip(variance, variance.mean() * 1e-3, variance.mean() * 1e3)
    return np.sort(np.exp(-out / variance), 0)


@pytest.mark.parametrize(("radius", "dilation"), [(1, 2), (1, 1), (2, 2)])
def test_equals_the_definition(radius, dilation):
    image = np.random.default_rng(0).random((5, 4, 5))
    image[:2] = 0.5  # a part where the variance is clamped
    found = mind_ssc(torch.tensor(image)[None, None], radius, dilation)
    assert found.shape == (1, CHANNELS, 5, 4, 5)
    np.testing.assert_allclose(
        np.sort(found[0].numpy(), 0), naive_mind(image, radius, dilation), atol=2e-4
    )


def test_does_not_see_a_linear_change_of_intensity():
    image = torch.rand(1, 1, 12, 10, 11, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(mind_ssc(300 - 40 * image), mind_ssc(image), atol=1e-3, rtol=0)


def test_of_a_batch_is_that_of_each_image():
    images = torch.rand(2, 1, 9, 8, 7, generator=torch.Generator().manual_seed(2))
    images[1] *= 100
    torch.testing.assert_close(mind_ssc(images)[1:], mind_ssc(images[1:]))


def test_is_one_where_nothing_is_to_be_seen():
    image = torch.zeros(1, 1, 16, 9, 9)
    assert torch.equal(mind_ssc(image), torch.ones(1, CHANNELS, 16, 9, 9))
    image[:, :, :4] = torch.rand(1, 1, 4, 9, 9)
    assert torch.equal(mind_ssc(image)[:, :, 8:], torch.ones(1, CHANNELS, 8, 9, 9))


@pytest.mark.parametrize("radius", [1, 2])
@pytest.mark.parametrize("shape", [(6, 7, 8), (1, 2, 9)])
def test_box_averages_cubes(radius, shape):
    volume = np.random.default_rng(0).random(shape)
    for edge, mode in (("zeros", "constant"), ("replicate", "nearest")):
        wanted = uniform_filter(volume, 2 * radius + 1, mode=mode)
        found = box(torch.tensor(volume)[None], radius, edge=edge)[0]
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-6)
