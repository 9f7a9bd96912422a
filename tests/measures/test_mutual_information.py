import numpy as np
import pytest
import torch
from scipy.stats import entropy

from zoo.measures import normalised_mutual_information


def test_it_is_2_for_one_image_and_1_for_independent_ones():
    first, second = torch.rand(2, 200_000, generator=torch.Generator().manual_seed(0))
    assert normalised_mutual_information(first, first) == pytest.approx(2)
    assert normalised_mutual_information(first, second) == pytest.approx(1, abs=1e-3)


def test_it_is_that_of_numpys_histogram():
    generator = torch.Generator().manual_seed(1)
    first = torch.rand(5000, generator=generator)
    second = (first**2 + 0.2 * torch.rand(5000, generator=generator)).clamp(0, 1)
    joint, _, _ = np.histogram2d(first.numpy(), second.numpy(), bins=16, range=[(0, 1)] * 2)
    expected = (entropy(joint.sum(0)) + entropy(joint.sum(1))) / entropy(joint.ravel())
    assert normalised_mutual_information(first, second, bins=16) == pytest.approx(expected)


def test_it_is_1_for_constant_images():
    constant = torch.full((100,), 0.4)
    assert normalised_mutual_information(constant, constant) == 1
