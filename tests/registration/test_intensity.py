"""Intensity normalisation compared with numpy in double precision."""

import numpy as np
import pytest
import torch

from zoo import UserError
from zoo.registration.intensity import GradICONIntensity, UniRegIntensity, looks_like_hounsfield


def ct(seed=0, shape=(11, 7, 9)):
    """An image with whole numbers in HU: a third air, the rest from fat to bone and metal."""
    generator = torch.Generator().manual_seed(seed)
    image = (torch.rand(shape, generator=generator) * 1500 - 200).round()
    air = torch.rand(shape, generator=generator) < 0.3
    image[air] = -1000
    image[0, 0, 0] = 3000
    return image


def mr(seed=0, shape=(11, 7, 9)):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 700


def rescaled(image, low, high):
    return ((np.clip(image.numpy().astype(float), low, high) - low) / (high - low)).astype("f4")


@pytest.mark.parametrize(
    ("intensity", "low", "high"),
    [(GradICONIntensity, -1000, 1000), (UniRegIntensity, -150, 250)],
)
@pytest.mark.parametrize("modality", ["CT", "cbct", None])
def test_ct_is_clipped_to_a_fixed_window(intensity, low, high, modality):
    image = ct()
    out = intensity(modality)(image)
    np.testing.assert_allclose(out.numpy(), rescaled(image, low, high), atol=6e-8)
    assert out[image <= low].eq(0).all()
    assert out[image >= high].eq(1).all()
    assert out.dtype == torch.float32


def test_the_input_is_not_changed():
    for intensity in (GradICONIntensity(), UniRegIntensity()):
        for image in (ct(), mr()):
            kept = image.clone()
            intensity(image)
            assert torch.equal(image, kept)


@pytest.mark.parametrize("modality", ["mr", "US", "pet", None])
def test_gradicon_quantile_is_the_kth_smallest_voxel(modality):
    image = torch.randperm(1000).float().view(10, 10, 10)
    out = GradICONIntensity(modality)(image)
    np.testing.assert_allclose(out.numpy(), rescaled(image, 0, 989), atol=6e-8)


def test_gradicon_accepts_another_window_and_other_quantiles():
    image = torch.randperm(1000).float().view(10, 10, 10)
    out = GradICONIntensity("mr", quantiles=(0.1, 0.9))(image)
    np.testing.assert_allclose(out.numpy(), rescaled(image, 99, 899), atol=6e-8)
    out = GradICONIntensity("ct", ct_window=(-200, 300))(ct())
    np.testing.assert_allclose(out.numpy(), rescaled(ct(), -200, 300), atol=6e-8)


@pytest.mark.parametrize("bad", [{"ct_window": (5, 5)}, {"quantiles": (0.9,)}])
def test_an_invalid_range_is_refused(bad):
    with pytest.raises(UserError, match="must be two numbers"):
        GradICONIntensity("mr", **bad)


def test_unireg_percentiles_ignore_the_background():
    image = torch.zeros(30, 30, 30)
    image[5:25, 5:25, 5:25] = mr(shape=(20, 20, 20)) + 100
    values = image[image > 0].numpy()
    low, high = np.percentile(values.astype(float), [0.5, 99.5])
    out = UniRegIntensity("mr")(image)
    np.testing.assert_allclose(out.numpy(), rescaled(image, low, high), atol=2e-3)
    assert out[0].eq(0).all()


def test_an_outlier_does_not_remove_the_contrast():
    image = mr()
    image[0, 0, 0] = 1e9
    assert GradICONIntensity("mr")(image).std() > 0.2
    assert UniRegIntensity("mr")(image).std() > 0.2


@pytest.mark.parametrize("intensity", [GradICONIntensity, UniRegIntensity])
@pytest.mark.parametrize("modality", ["mr", None])
def test_an_image_without_contrast_is_refused(intensity, modality):
    image = torch.full((5, 5, 5), 3.0)
    with pytest.raises(UserError, match="has the value 3"):
        intensity(modality)(image)


@pytest.mark.parametrize("intensity", [GradICONIntensity, UniRegIntensity])
def test_ct_that_was_windowed_before_is_refused(intensity):
    with pytest.raises(UserError, match=r"declared ct but its smallest value is 0"):
        intensity("ct")(ct().clamp(0, 1000))


def test_an_unknown_modality_is_refused():
    with pytest.raises(UserError, match=r"'xray'.*ct, cbct, mr"):
        GradICONIntensity("xray")


def test_hounsfield_units_are_recognised_by_the_values():
    assert looks_like_hounsfield(ct())
    assert not looks_like_hounsfield(mr())
    assert not looks_like_hounsfield(ct() + 1024)
    assert not looks_like_hounsfield(ct() / 3000)
