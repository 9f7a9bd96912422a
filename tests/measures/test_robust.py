import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from zoo.measures.robust import robust_values


def smooth_image(shape=(30, 32, 28)):
    noise = np.random.default_rng(0).standard_normal(shape)
    return torch.tensor(gaussian_filter(noise, 3)).float() * 1000


def test_an_ordinary_image_is_returned_as_it_is():
    image = smooth_image()
    sparse = torch.zeros(40, 40, 40)
    sparse[3, 4, 5] = 7
    padded = torch.where(torch.arange(30).view(-1, 1, 1) < 4, -32768.0, image)
    for ordinary in (image, sparse, padded, torch.full((5, 6, 7), 3.0)):
        assert robust_values(ordinary) is ordinary


@pytest.mark.parametrize("value", [1e9, -1e9, 1e35])
def test_outliers_get_the_value_of_their_neighbours(value):
    image = smooth_image()
    spoiled = image.clone()
    spoiled[15, 16, 14] = spoiled[20, 3, 9] = value
    result = robust_values(spoiled)
    assert (result - image).abs().max() < 0.05 * float(image.std())
    unchanged = spoiled == image
    assert torch.equal(result[unchanged], image[unchanged])


def test_a_cluster_of_outliers_ends_at_the_range_of_the_image():
    spoiled = smooth_image((60, 60, 60))
    spoiled[20:25, 20:25, 20:25] = 1e9
    result = robust_values(spoiled)
    assert result.max() <= smooth_image((60, 60, 60)).max()


@pytest.mark.parametrize("scale", [2.0**-110, 2.0**110])
def test_an_extreme_scale_is_removed_exactly(scale):
    image = smooth_image()
    result = robust_values(image * scale)
    ratio = result / image
    assert 0.1 < result.abs().max() <= 1
    assert (ratio == ratio.flatten()[0]).all()


def test_non_finite_values_are_left_for_the_caller_to_refuse():
    image = smooth_image()
    image[1, 2, 3] = torch.nan
    assert robust_values(image) is image
