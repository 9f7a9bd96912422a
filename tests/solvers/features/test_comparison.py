"""The comparison of features: compiled, with torch, and its gradient by autograd."""

import pytest
import torch

from zoo.geometry.sampling import identity_index, sample
from zoo.solvers.features import compare_features, compare_features_with_torch

SHAPE = (9, 7, 8)


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [SHAPE, (70, 33, 40)])  # one slab, several
def test_gradient_of_the_comparison_is_that_of_autograd(shape):
    fixed, moving = random(1, 4, *shape), random(1, 4, *shape, seed=1)
    index = (identity_index(shape) + random(1, 3, *shape, seed=2)).requires_grad_()
    expected = (sample(moving, index) - fixed).square().sum(1).mean()
    expected.backward()
    gradient, loss = compare_features(fixed, moving, index.detach())
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(gradient, index.grad)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("threads", [1, 3])
def test_the_compiled_comparison_equals_that_of_torch(weighted, threads):
    """Positions inside, on and far outside of the border; every second channel; half precision."""
    shape, moving = (37, 40, 33), random(1, 6, 12, 9, 14, seed=1)[:, 1::2]
    fixed = random(1, 6, *shape).half()[:, ::2]
    index = 10 * random(1, 3, *shape, seed=2) + 5
    index[:, :, :4] = torch.tensor([0.0, 8.0, 13.0]).view(1, 3, 1, 1, 1)
    weights = (random(1, 1, *shape, seed=3).abs(), random(1, 1, 12, 9, 14, seed=4).abs())
    options = {"weights": weights if weighted else None}
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    gradient, mean = compare_features(fixed, moving, index, **options)
    torch.set_num_threads(before)
    expected, expected_mean = compare_features_with_torch(fixed, moving, index, **options)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-8)
    torch.testing.assert_close(mean, expected_mean)


def test_a_position_that_is_no_number_is_read_at_the_border():
    fixed, moving = random(1, 2, *SHAPE), random(1, 2, *SHAPE, seed=1)
    index = torch.full((1, 3, *SHAPE), torch.nan)
    assert torch.isfinite(compare_features(fixed, moving, index)[0]).all()
