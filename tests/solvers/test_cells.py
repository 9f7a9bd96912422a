import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from zoo.geometry.sampling import identity_index
from zoo.solvers.cells import (
    box_mean,
    pad_to_multiple,
    pool_cells,
    sample_displaced,
    upsample_cells,
)


def test_pool_leaves_no_voxel_out():
    volume = torch.arange(7.0).view(1, 1, 7, 1, 1).expand(1, 1, 7, 4, 3)
    result = pool_cells(volume, 2)
    assert result.shape == (1, 1, 4, 2, 2)
    assert result[0, 0, :, 0, 0].tolist() == [0.5, 2.5, 4.5, 6.0]


@pytest.mark.parametrize(("coarse", "fine"), [(6, 2), (6, 1), (3, 2), (4, 4)])
@pytest.mark.parametrize("voxels", [(23, 12, 7), (3, 1, 48)])
def test_upsampled_positions_are_those_of_the_cells(coarse, fine, voxels):
    """The upsampled voxel positions of coarse cells are those of the fine cells in between."""

    def centres(stride):
        return identity_index([-(-n // stride) for n in voxels]) * stride + (stride - 1) / 2

    expected = centres(fine)
    result = upsample_cells(centres(coarse), coarse / fine, expected.shape[2:])
    assert result.shape == expected.shape
    for axis in range(3):
        low, high = centres(coarse)[0, axis].min(), centres(coarse)[0, axis].max()
        held = expected[0, axis].clamp(low, high)
        torch.testing.assert_close(result[0, axis], held, atol=1e-4, rtol=0)


def test_sampling_at_a_displacement_of_one_cell_is_a_shift():
    volume = torch.rand(1, 2, 6, 5, 4)
    step = torch.zeros(1, 3, 6, 5, 4)
    step[:, 1] = 1
    torch.testing.assert_close(sample_displaced(volume, step)[..., :-1, :], volume[..., 1:, :])


def test_padded_image_repeats_its_last_values():
    image = torch.rand(2, 5, 8, 7)
    result = pad_to_multiple(image, 4)
    assert result.shape == (2, 8, 8, 8)
    assert torch.equal(result[:, :5, :, :7], image)
    assert torch.equal(result[:, 7, :, 7], image[:, 4, :, 6])


@pytest.mark.parametrize("radius", [1, 2])
@pytest.mark.parametrize("shape", [(6, 7, 8), (1, 2, 9)])
def test_box_averages_cubes(radius, shape):
    volume = np.random.default_rng(0).random(shape)
    for edge, mode in (("zeros", "constant"), ("replicate", "nearest")):
        expected = uniform_filter(volume, 2 * radius + 1, mode=mode)
        result = box_mean(torch.tensor(volume)[None], radius, edge=edge)[0]
        np.testing.assert_allclose(result.numpy(), expected, atol=1e-6)
