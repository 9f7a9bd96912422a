import itertools

import numpy as np
import pytest
import torch

from zoo.solvers.mind import CHANNELS, mind_features


def naive_mind(image, radius, dilation):
    """Compute MIND-SSC voxel by voxel from its definition, with sorted channels."""

    def at(array, i):
        return array[tuple(np.clip(k, 0, n - 1) for k, n in zip(i, array.shape, strict=True))]

    shape = image.shape
    steps = [s * e for e in np.eye(3, dtype=int) for s in (1, -1)]
    pairs = [(a, b) for a, b in itertools.combinations(steps, 2) if ((a - b) ** 2).sum() == 2]
    out = np.zeros((len(pairs), *shape))
    for c, (a, b) in enumerate(pairs):
        squared = np.zeros(shape)
        for i in np.ndindex(*shape):
            difference = at(image, i + dilation * a) - at(image, i + dilation * b)
            squared[i] = difference**2
        padded = np.pad(squared, radius, mode="edge")
        for i in np.ndindex(*shape):
            out[c][i] = padded[tuple(slice(k, k + 2 * radius + 1) for k in i)].mean()
    out -= out.min(0)
    variance = out.mean(0)
    variance = np.clip(variance, variance.mean() * 1e-3, variance.mean() * 1e3)
    return np.sort(np.exp(-out / variance), 0)


@pytest.mark.parametrize(("radius", "dilation"), [(1, 2), (1, 1), (2, 2)])
def test_equals_the_definition(radius, dilation):
    image = np.random.default_rng(0).random((5, 4, 5))
    image[:2] = 0.5  # a part where the variance is clamped
    result = mind_features(torch.tensor(image)[None, None], radius, dilation)
    assert result.shape == (1, CHANNELS, 5, 4, 5)
    np.testing.assert_allclose(
        np.sort(result[0].numpy(), 0), naive_mind(image, radius, dilation), atol=2e-4
    )


def test_noise_does_not_count_as_structure():
    random = np.random.default_rng(3)
    image = random.normal(0, 1, (24, 10, 12))  # noise, and a half with a strong checkerboard
    image[12:] += 20 * (np.indices((12, 10, 12)).sum(0) // 3 % 2)
    image = torch.tensor(image, dtype=torch.float32)[None, None]
    plain, floored = mind_features(image), mind_features(image, noise=4)
    quiet, structured = slice(0, 8), slice(16, 24)
    assert plain[:, :, quiet].mean() < 0.5 < 0.6 < floored[:, :, quiet].mean()
    torch.testing.assert_close(floored[:, :, structured], plain[:, :, structured])


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_the_noise_floor_does_not_depend_on_scale_offset_or_an_empty_background(dtype):
    random = np.random.default_rng(4)
    image = np.round(random.normal(0, 10, (32, 40, 42)))
    image[16:] += 400 * (np.indices((16, 40, 42)).sum(0) // 3 % 2)
    framed = np.pad(image, 6)
    first, second = (
        mind_features(torch.tensor(x.astype(dtype))[None, None].float(), noise=4)
        for x in (framed, 7 * framed + 100)
    )
    torch.testing.assert_close(first, second, atol=1e-4, rtol=0)
    noise = (..., slice(10, 18), slice(10, -10), slice(10, -10))
    assert (
        first[noise].mean()
        > 1.15 * mind_features(torch.tensor(framed).float()[None, None])[noise].mean()
    )


def test_a_linear_change_of_intensity_does_not_matter():
    image = torch.rand(1, 1, 12, 10, 11, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        mind_features(300 - 40 * image), mind_features(image), atol=1e-3, rtol=0
    )


def test_of_a_batch_is_that_of_each_image():
    images = torch.rand(2, 1, 9, 8, 7, generator=torch.Generator().manual_seed(2))
    images[1] *= 100
    torch.testing.assert_close(mind_features(images)[1:], mind_features(images[1:]))


def test_features_of_a_constant_region_are_one():
    image = torch.zeros(1, 1, 16, 9, 9)
    assert torch.equal(mind_features(image), torch.ones(1, CHANNELS, 16, 9, 9))
    image[:, :, :4] = torch.rand(1, 1, 4, 9, 9)
    assert torch.equal(mind_features(image)[:, :, 8:], torch.ones(1, CHANNELS, 8, 9, 9))
