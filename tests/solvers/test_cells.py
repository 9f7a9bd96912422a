import pytest
import torch

from zoo.geometry.sampling import identity_index
from zoo.solvers.cells import complete, enlarge, follow, pool


def test_pool_leaves_no_voxel_out():
    volume = torch.arange(7.0).view(1, 1, 7, 1, 1).expand(1, 1, 7, 4, 3)
    found = pool(volume, 2)
    assert found.shape == (1, 1, 4, 2, 2)
    assert found[0, 0, :, 0, 0].tolist() == [0.5, 2.5, 4.5, 6.0]


@pytest.mark.parametrize(("coarse", "fine"), [(6, 2), (6, 1), (3, 2), (4, 4)])
@pytest.mark.parametrize("voxels", [(23, 12, 7), (3, 1, 48)])
def test_enlarged_positions_are_those_of_the_cells(coarse, fine, voxels):
    """The voxel position of coarse cells, enlarged, is that of the fine cells between centres."""

    def centres(stride):
        return identity_index([-(-n // stride) for n in voxels]) * stride + (stride - 1) / 2

    wanted = centres(fine)
    found = enlarge(centres(coarse), coarse / fine, wanted.shape[2:])
    assert found.shape == wanted.shape
    for axis in range(3):
        low, high = centres(coarse)[0, axis].min(), centres(coarse)[0, axis].max()
        held = wanted[0, axis].clamp(low, high)
        torch.testing.assert_close(found[0, axis], held, atol=1e-4, rtol=0)


def test_following_a_whole_step_is_a_shift():
    volume = torch.rand(1, 2, 6, 5, 4)
    step = torch.zeros(1, 3, 6, 5, 4)
    step[:, 1] = 1
    torch.testing.assert_close(follow(volume, step)[..., :-1, :], volume[..., 1:, :])


def test_completed_image_repeats_its_last_values():
    image = torch.rand(2, 5, 8, 7)
    found = complete(image, 4)
    assert found.shape == (2, 8, 8, 8)
    assert torch.equal(found[:, :5, :, :7], image)
    assert torch.equal(found[:, 7, :, 7], image[:, 4, :, 6])
