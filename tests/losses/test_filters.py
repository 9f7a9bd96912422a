import numpy as np
import pytest
import torch
from scipy import ndimage

from zoo.losses.filters import box_taps, gaussian, gaussian_taps, separable_filter

SHAPE = (13, 30, 9)


@pytest.fixture
def image():
    return torch.rand(2, 3, *SHAPE, generator=torch.Generator().manual_seed(1))


def by_scipy(image, taps, mode):
    out = image.double().numpy()
    for axis, weights in enumerate(taps, start=2):
        out = ndimage.correlate1d(out, weights, axis=axis, mode=mode, cval=0.0)
    return out


def test_gaussian_is_the_zero_padded_convolution_even_where_the_kernel_is_wider(image):
    steps = np.arange(-10, 11)
    taps = np.exp(-(steps**2) / 50)
    expected = by_scipy(image, [taps / taps.sum()] * 3, "constant")
    np.testing.assert_allclose(gaussian(image, 5).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(("edge", "mode"), [("zeros", "constant"), ("replicate", "nearest")])
def test_box_with_one_size_per_axis_sums_the_voxels_of_its_window(image, edge, mode):
    sizes = (3, 9, 5)
    expected = by_scipy(image, [np.ones(size) for size in sizes], mode)
    out = separable_filter(image, [box_taps(size) for size in sizes], edge)
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-5)


def test_gaussian_taps_sum_to_one():
    assert len(gaussian_taps(5)) == 21
    assert float(gaussian_taps(5).sum()) == pytest.approx(1)


def test_autocast_does_not_lower_the_precision(image):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = gaussian(image, 5)
    assert torch.equal(inside, gaussian(image, 5))


@pytest.mark.parametrize("sigma", [0.3, 1.0, 1.25, 2.0, 3.7])
def test_a_gaussian_of_any_width_has_an_odd_number_of_taps(sigma):
    taps = gaussian_taps(sigma)
    assert len(taps) % 2 == 1
    assert float(taps.sum()) == pytest.approx(1)
    assert gaussian_taps(2.0).shape == (9,)
