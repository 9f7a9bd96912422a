import numpy as np
import pytest
import torch
from monai.losses import LocalNormalizedCrossCorrelationLoss
from scipy import ndimage

from zoo import UserError
from zoo.losses import (
    LNCC,
    MINDSSC,
    NCC,
    BoxLNCC,
    SquaredLNCC,
    masked_mean,
    mind_descriptor,
    similarity_named,
)

SHAPE = (17, 22, 25)
ALL = [LNCC(), SquaredLNCC(), NCC(), MINDSSC(), BoxLNCC((3, 9, 5))]


def smooth_noise(seed, batch=1, shape=SHAPE, dtype=torch.float32):
    noise = np.random.default_rng(seed).random((batch, 1, *shape))
    return torch.tensor(ndimage.gaussian_filter(noise, (0, 0, 1, 1, 1)) * 2, dtype=dtype)


def class_name(measure):
    return type(measure).__name__


def plain_local_correlation(first, second):
    """The definition, in float64 and with scipy's own Gaussian."""

    def blur(image):
        # A kernel that is cut at 10 voxels: 2 standard deviations.
        return ndimage.gaussian_filter(image, 5, mode="constant", truncate=2.0)

    a, b = first[0, 0].double().numpy(), second[0, 0].double().numpy()
    covariance = blur(a * b) - blur(a) * blur(b)
    variances = [np.maximum(blur(x * x) - blur(x) ** 2, 0) + 1e-5 for x in (a, b)]
    return covariance / np.sqrt(variances[0] * variances[1])


def test_lncc_is_the_mean_of_the_plain_local_correlation():
    a, b = smooth_noise(1), smooth_noise(2)
    local = plain_local_correlation(a, b)
    assert float(LNCC()(a, b)) == pytest.approx(1 - local.mean(), abs=2e-6)
    assert float(SquaredLNCC()(a, b)) == pytest.approx(1 - (local**2).mean(), abs=2e-6)


def test_masked_lncc_averages_the_same_map_over_the_mask_only():
    a, b = smooth_noise(1), smooth_noise(2)
    mask = torch.zeros_like(a)
    mask[:, :, 4:15, :, 7:] = 3  # any value but zero counts
    expected = 1 - plain_local_correlation(a, b)[4:15, :, 7:].mean()
    assert float(LNCC()(a, b, mask)) == pytest.approx(expected, abs=2e-6)


def test_masked_mean_gives_every_sample_the_same_weight():
    values = torch.tensor([2.0, 4.0]).view(2, 1, 1, 1, 1).expand(2, 1, 4, 4, 4).clone()
    values[0, 0, 0] = 1e6
    mask = torch.ones(2, 1, 4, 4, 4)
    mask[0, 0, 0] = 0
    mask[1, 0, 1:] = 0
    assert float(masked_mean(values, mask)) == 3.0


def test_box_lncc_agrees_with_monai():
    a, b = smooth_noise(3, batch=2), smooth_noise(4, batch=2)
    monai = LocalNormalizedCrossCorrelationLoss(kernel_size=9, smooth_nr=0.0)
    assert float(BoxLNCC(9)(a, b)) == pytest.approx(1 + float(monai(a, b)), abs=1e-5)


def test_box_lncc_takes_one_window_size_per_axis():
    a, b = smooth_noise(3), smooth_noise(4)
    x, y = a[0, 0].double().numpy(), b[0, 0].double().numpy()

    def total(image):
        return ndimage.convolve(image, np.ones((3, 9, 5)), mode="constant")

    n = 3 * 9 * 5
    cross = total(x * y) - total(x) * total(y) / n
    spread = (total(x * x) - total(x) ** 2 / n) * (total(y * y) - total(y) ** 2 / n)
    expected = 1 - (cross**2 / (spread + 1e-5)).mean()
    assert float(BoxLNCC((3, 9, 5))(a, b)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("window", [4, (3, 9), (3, 0, 3)])
def test_box_lncc_refuses_a_window_without_a_centre(window):
    with pytest.raises(UserError, match=r"must be an odd number"):
        BoxLNCC(window)


def test_ncc_is_numpys_correlation_per_sample_and_inside_the_mask():
    a, b = smooth_noise(5, batch=2), smooth_noise(6, batch=2)
    mask = (smooth_noise(7, batch=2) > 1).float()

    def plain(weights):
        inside = [w.numpy().astype(bool) for w in weights]
        pairs = zip(a, b, inside, strict=True)
        return 1 - np.mean([np.corrcoef(x.numpy()[w], y.numpy()[w])[0, 1] for x, y, w in pairs])

    assert float(NCC()(a, b)) == pytest.approx(plain(torch.ones_like(a)), abs=1e-5)
    assert float(NCC()(a, b, mask)) == pytest.approx(plain(mask), abs=1e-5)


def plain_mind(image, radius, dilation):
    """Straight from the definition: patches cut out one by one."""
    offsets = [np.array(o) for o in [(-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1)]]
    offsets.append(np.array((0, 0, 1)))
    pairs = [
        (p, q) for i, p in enumerate(offsets) for q in offsets[:i] if ((p - q) ** 2).sum() == 2
    ]
    shape = image.shape

    def at(index):
        return image[tuple(np.clip(i, 0, n - 1) for i, n in zip(index, shape, strict=True))]

    index = np.indices(shape)
    distance = np.empty((12, *shape))
    for c, (p, q) in enumerate(pairs):
        sides = [at(index + dilation * o.reshape(3, 1, 1, 1)) for o in (p, q)]
        squared = (sides[0] - sides[1]) ** 2
        # The patch is a box over the difference at the voxels of the image, edges repeated.
        distance[c] = ndimage.uniform_filter(squared, 2 * radius + 1, mode="nearest")
    distance -= distance.min(0)
    spread = distance.mean(0)
    spread = np.clip(spread, spread.mean() * 1e-3, spread.mean() * 1e3)
    return np.exp(-distance / spread)


@pytest.mark.parametrize(("radius", "dilation"), [(2, 2), (1, 2), (1, 1)])
def test_mind_has_the_twelve_channels_of_the_definition(radius, dilation):
    image = smooth_noise(8)
    ours = mind_descriptor(image, radius, dilation)[0].numpy()
    plain = plain_mind(image[0, 0].double().numpy(), radius, dilation)
    # The order of the channels is free: match each plain channel with its nearest.
    error = np.abs(ours[:, None] - plain[None]).reshape(12, 12, -1).max(-1)
    assert sorted(error.argmin(1)) == list(range(12))
    assert error.min(1).max() < 1e-4


def test_mind_ignores_an_inverted_contrast_and_is_one_for_a_constant_image():
    image = smooth_noise(9)
    assert float(MINDSSC()(1 - 0.5 * image, image)) < 1e-8
    assert torch.equal(
        mind_descriptor(torch.full((1, 1, 8, 8, 8), 0.5)), torch.ones(1, 12, 8, 8, 8)
    )


def test_mind_of_a_sample_does_not_depend_on_its_batch():
    a, b = smooth_noise(1), 100 * smooth_noise(2)
    together = mind_descriptor(torch.cat([a, b]))
    torch.testing.assert_close(together, torch.cat([mind_descriptor(a), mind_descriptor(b)]))


@pytest.mark.parametrize("measure", ALL, ids=class_name)
def test_a_perfect_match_costs_nothing_and_a_mismatch_more(measure):
    a, b = smooth_noise(1), smooth_noise(2)
    # The guards against a variance of zero keep the local ones a little above zero.
    assert 0 <= float(measure(a, a)) < 0.02
    assert float(measure(a, b)) > float(measure(a, a)) + 0.02


@pytest.mark.parametrize("measure", [m for m in ALL if class_name(m) != "MINDSSC"], ids=class_name)
def test_a_linear_change_of_intensity_does_not_matter(measure):
    a, b = 5 * smooth_noise(1), 5 * smooth_noise(2)
    assert float(measure(3 * a, b)) == pytest.approx(float(measure(a, b)), abs=2e-3)


@pytest.mark.parametrize("measure", ALL, ids=class_name)
def test_voxels_outside_the_mask_by_more_than_the_window_do_not_matter(measure):
    shape = (40, 6, 7)
    a, b = smooth_noise(1, shape=shape), smooth_noise(2, shape=shape)
    mask = torch.zeros_like(a)
    mask[:, :, :10] = 1
    changed = a.clone()
    changed[:, :, 25:] += 0.1 * smooth_noise(3, shape=(15, 6, 7))
    tolerance = 1e-3 if class_name(measure) == "MINDSSC" else 1e-6  # MIND's clamp is global
    assert float(measure(changed, b, mask)) == pytest.approx(
        float(measure(a, b, mask)), abs=tolerance
    )
    assert float(measure(changed, b)) != pytest.approx(float(measure(a, b)), abs=tolerance)


@pytest.mark.parametrize("measure", ALL, ids=class_name)
@pytest.mark.parametrize("masked", [False, True])
def test_gradients_are_those_of_finite_differences(measure, masked):
    shape = (4, 5, 6)
    a = smooth_noise(1, shape=shape, dtype=torch.float64).requires_grad_()
    b = smooth_noise(2, shape=shape, dtype=torch.float64)
    mask = (smooth_noise(3, shape=shape) > 0.9) if masked else None

    def loss(warped):
        return measure(warped, b, mask)

    if isinstance(measure, MINDSSC):
        # The clamp's bounds are constants of the descriptor, and its minimum has kinks: compare
        # along one direction at a step below them, with the spread inside the bounds.
        assert torch.autograd.gradcheck(loss, (a,), eps=1e-7, atol=1e-4, fast_mode=True)
    else:
        assert torch.autograd.gradcheck(loss, (a,), fast_mode=True)


@pytest.mark.parametrize("measure", ALL, ids=class_name)
def test_half_precision_images_are_compared_in_full_precision(measure):
    a, b = smooth_noise(1).bfloat16(), smooth_noise(2).bfloat16()
    loss = measure(a, b)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(float(measure(a.float(), b.float())), abs=1e-6)


def test_measures_are_returned_by_name_and_an_unknown_name_lists_them():
    assert isinstance(similarity_named("lncc2"), SquaredLNCC)
    with pytest.raises(UserError, match=r"'mi' is unknown.*lncc, lncc2"):
        similarity_named("mi")
