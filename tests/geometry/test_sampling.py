import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from zoo.geometry.sampling import (
    affine_index,
    identity_index,
    inside,
    sample,
    sample_cubic,
    sample_nearest,
    spline_coefficients,
)


def reference(image, index, order, mode):
    """Interpolate each channel with scipy."""
    image, index = image[0].double().numpy(), index[0].double().numpy()
    return np.stack([map_coordinates(c, index, order=order, mode=mode) for c in image])


@pytest.fixture
def image():
    return torch.rand(1, 2, 11, 14, 9)


@pytest.fixture
def index(image):
    spread = torch.tensor([13.0, 16.0, 11.0]).view(1, 3, 1, 1, 1)
    return torch.rand(1, 3, 7, 6, 5) * spread - 1


def test_linear_sampling_with_border_agrees_with_scipy(image, index):
    out = sample(image, index)
    assert np.abs(out[0].numpy() - reference(image, index, 1, "nearest")).max() < 1e-5


def test_linear_sampling_with_zeros_agrees_with_scipy(image, index):
    out = sample(image, index, outside="zeros")
    expected = reference(image, index, 1, "grid-constant")
    assert np.abs(out[0].numpy() - expected).max() < 1e-5


@pytest.mark.parametrize("outside", ["border", "zeros"])
@pytest.mark.parametrize("rows", [1, 7])  # fewer rows than threads; rows not divisible by threads
def test_gradients_do_not_depend_on_the_number_of_threads(image, index, outside, rows):
    index = index[:, :, :rows]
    toward = torch.rand(1, 2, *index.shape[2:])
    before = torch.get_num_threads()
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        inputs = image.clone().requires_grad_(), index.clone().requires_grad_()
        out = sample(*inputs, outside=outside)
        results.append((out.detach(), *torch.autograd.grad((out * toward).sum(), inputs)))
    torch.set_num_threads(before)
    for one, two in zip(*results, strict=True):
        torch.testing.assert_close(two, one)


def test_cubic_sampling_agrees_with_scipy(image, index):
    index = index.clamp(0, 8)
    out = sample_cubic(spline_coefficients(image), index)
    assert np.abs(out[0].numpy() - reference(image, index, 3, "mirror")).max() < 1e-4


def test_cubic_sampling_interpolates_the_voxels(image):
    out = sample_cubic(spline_coefficients(image), identity_index(image.shape[2:]))
    assert torch.allclose(out, image, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64, torch.float64])
def test_nearest_sampling_is_exact_for_every_dtype(dtype):
    labels = torch.randint(0, 200, (1, 1, 6, 5, 7)).to(dtype)
    if dtype == torch.int64:
        labels = labels + 2**53
    index = torch.rand(1, 3, 4, 4, 4) * 4
    out = sample_nearest(labels, index)
    x, y, z = np.rint(index[0].numpy()).astype(int)
    assert out.dtype == dtype
    assert torch.equal(out[0, 0], labels[0, 0][x, y, z])


def test_nearest_sampling_fills_points_more_than_half_a_voxel_outside():
    labels = torch.ones(1, 1, 3, 3, 3, dtype=torch.uint8)
    x = torch.tensor([-0.51, -0.49, 2.49, 2.51])
    index = torch.ones(1, 3, 4, 1, 1)
    index[0, 0, :, 0, 0] = x
    assert sample_nearest(labels, index, fill=7)[0, 0, :, 0, 0].tolist() == [7, 1, 1, 7]


def test_inside_includes_half_a_voxel_around_the_centres():
    index = torch.ones(1, 3, 4, 1, 1)
    index[0, 2, :, 0, 0] = torch.tensor([-0.51, -0.49, 2.49, 2.51])
    assert inside(index, (3, 3, 3)).flatten().tolist() == [False, True, True, False]


@pytest.mark.parametrize("rows", [1, 2, 3, 8])
def test_samples_are_bit_identical_for_any_number_of_threads(image, rows):
    index = torch.rand(1, 3, rows, 6, 5) * 8
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = sample(image, index)
        torch.set_num_threads(3)
        assert torch.equal(sample(image, index), alone)
    finally:
        torch.set_num_threads(before)


def test_gradients_by_image_and_index_are_correct(image, index):
    image = image.double().requires_grad_()
    index = index.double().clamp(0.1, 7.9).requires_grad_()
    assert torch.autograd.gradcheck(lambda v, i: sample(v, i[:, :, :2, :2, :2]), (image, index))


def test_affine_index_equals_the_matrix_product(grid):
    whole = affine_index(grid.affine, (6, 5, 4))
    points = grid.to_world(identity_index((6, 5, 4))[0].flatten(1).T)
    assert torch.allclose(whole[0].flatten(1).T.double(), points, atol=1e-5)
    assert torch.equal(affine_index(grid.affine, (2, 5, 4), start=3), whole[:, :, 3:5])


def test_volume_one_voxel_thick_is_sampled():
    image = torch.rand(1, 1, 5, 1, 4)
    assert torch.equal(sample(image, identity_index((5, 1, 4))), image)
    assert torch.allclose(
        sample_cubic(spline_coefficients(image), identity_index((5, 1, 4))), image, atol=1e-6
    )
