import pytest
import torch

from zoo.errors import UserError
from zoo.solvers.masks import fill_outside_mask


def test_repeats_the_nearest_value_outside_and_keeps_the_inside():
    image = torch.arange(20.0).view(20, 1, 1).expand(20, 9, 7).clone()
    mask = torch.zeros_like(image)
    mask[4:13] = 1
    result = fill_outside_mask(image, mask)
    assert torch.equal(result[4:13], image[4:13])
    assert (result[:4] - 4).abs().max() <= 1  # looked up on a grid of every second voxel
    assert (result[13:] - 12).abs().max() <= 1


def test_of_ones_changes_nothing():
    image = torch.rand(7, 6, 5)
    assert torch.equal(fill_outside_mask(image, torch.ones(7, 6, 5)), image)


def test_refuses_an_empty_mask():
    with pytest.raises(UserError, match="covers 0 voxels of 64"):
        fill_outside_mask(torch.rand(4, 4, 4), torch.zeros(4, 4, 4))
