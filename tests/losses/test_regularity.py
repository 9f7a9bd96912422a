import numpy as np
import pytest
import torch

from zoo.geometry.sampling import identity_index
from zoo.losses import consistency_points, field_map, gradicon, gradient_penalty

SHAPE = (11, 14, 9)


def linear(matrix, shift=0.0):
    def move(points):
        return torch.einsum("kj,bjxyz->bkxyz", matrix.to(points), points) + shift

    return move


def points(seed=0):
    return consistency_points(SHAPE, torch.Generator().manual_seed(seed)).double()


def test_gradicon_of_exact_inverses_is_zero():
    matrix = torch.eye(3) + 0.2 * torch.randn(3, 3, generator=torch.Generator().manual_seed(1))
    inverse = torch.linalg.inv(matrix.double())
    loss = gradicon(linear(matrix.double()), linear(inverse), points())
    shifted = gradicon(linear(matrix.double(), 0.7), linear(inverse), points())
    # A constant error has no slope: only the gradient of the error counts.
    assert float(loss) < 1e-18
    assert float(shifted) < 1e-18


def test_gradicon_of_linear_maps_is_a_third_of_the_frobenius_norm_of_the_error():
    generator = torch.Generator().manual_seed(2)
    a, b = (torch.eye(3) + 0.1 * torch.randn(3, 3, generator=generator) for _ in range(2))
    a, b = a.double(), b.double()
    error = torch.eye(3, dtype=torch.float64) - a @ b
    expected = float((error**2).sum() / 3)
    assert float(gradicon(linear(a), linear(b), points())) == pytest.approx(expected, rel=1e-9)
    # The order matters: the error is that of forward(reverse(x)).
    skew = gradicon(linear(a), lambda x: linear(b)(x) ** 2, points())
    other = gradicon(lambda x: linear(b)(x) ** 2, linear(a), points())
    assert float(skew) != pytest.approx(float(other), rel=1e-3)


def test_gradicon_of_fields_is_that_of_their_maps():
    """Interpolation reproduces a field that is linear in space exactly."""
    last = torch.tensor([n - 1.0 for n in SHAPE]).view(1, 3, 1, 1, 1).double()
    unit = identity_index(SHAPE).double() / last
    a = torch.eye(3).double() * 0.9
    b = torch.tensor([[1.0, 0.05, 0], [0, 1.1, 0], [0, 0, 0.95]]).double()
    fields = [(linear(m, s)(unit) - unit) * last for m, s in ((a, 0.05), (b, 0.0))]
    inner = points()
    inner = 0.3 + 0.4 * (inner - inner.min()) / (inner.max() - inner.min())
    expected = float(((torch.eye(3).double() - a @ b) ** 2).sum() / 3)
    loss = gradicon(field_map(fields[0]), field_map(fields[1]), inner)
    assert float(loss) == pytest.approx(expected, rel=1e-6)


def test_field_map_repeats_the_border():
    field = torch.zeros(1, 3, *SHAPE)
    field[:, 1, -1] = 13.0  # one whole unit of the second axis at the far face of the first
    far = torch.tensor([1.5, 0.5, 0.5]).view(1, 3, 1, 1, 1)
    np.testing.assert_allclose(field_map(field)(far).flatten(), [1.5, 1.5, 0.5], atol=1e-6)


def test_points_are_every_second_voxel_with_noise_and_a_seed_repeats_them():
    first, again, other = points(3), points(3), points(4)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (1, 3, 6, 7, 5)
    last = torch.tensor([n - 1.0 for n in SHAPE]).view(1, 3, 1, 1, 1)
    noise = first - (identity_index(SHAPE) / last)[:, :, ::2, ::2, ::2]
    assert float(noise.std()) == pytest.approx(2 / SHAPE[-1], rel=0.1)


def test_gradicon_has_the_gradient_of_finite_differences():
    generator = torch.Generator().manual_seed(5)
    fields = [
        torch.randn(1, 3, 4, 3, 5, generator=generator).double().mul(0.3).requires_grad_()
        for _ in range(2)
    ]
    at = consistency_points((4, 3, 5), generator).double()

    def loss(forward, reverse):
        return gradicon(field_map(forward), field_map(reverse), at)

    assert torch.autograd.gradcheck(loss, fields, eps=1e-7, atol=1e-3, rtol=1e-3, fast_mode=True)


def test_gradient_penalty_of_a_linear_field_and_of_numpy():
    index = identity_index(SHAPE)
    stretch = index * torch.tensor([0.1, 0.2, 0.4]).view(1, 3, 1, 1, 1)
    expected = (0.1**2 + 0.2**2 + 0.4**2) / 9
    assert float(gradient_penalty(stretch)) == pytest.approx(expected, rel=1e-5)
    field = torch.randn(2, 3, *SHAPE, generator=torch.Generator().manual_seed(7))
    plain = np.mean([(np.diff(field.numpy(), axis=axis) ** 2).mean() for axis in (2, 3, 4)])
    assert float(gradient_penalty(field)) == pytest.approx(plain, rel=1e-5)


def test_gradient_penalty_of_a_single_slice_counts_the_other_axes():
    field = identity_index((1, 5, 5))
    assert float(gradient_penalty(field)) == pytest.approx(2 / 9)
