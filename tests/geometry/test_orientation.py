import itertools

import nibabel
import pytest
import torch

from zoo.geometry import Grid, match_axes
from zoo.synthesis.phantom import placed_grid

AXES = [
    "".join(letters)
    for order in itertools.permutations(("RL", "AP", "SI"))
    for letters in itertools.product(*order)
]


@pytest.mark.parametrize("axes", AXES)
def test_every_voxel_keeps_its_world_position(axes):
    target = placed_grid((9, 8, 7), (1, 1, 1), "LPS", 15)
    grid = placed_grid((5, 6, 4), (1.5, 1.0, 3.0), axes, 15)
    data = torch.rand(2, *grid.shape)
    reordered, new_grid = match_axes(data, grid, target)
    assert new_grid.axis_codes == target.axis_codes
    index = torch.cartesian_prod(*[torch.arange(n) for n in new_grid.shape])
    old = grid.to_index(new_grid.to_world(index.double())).round().long()
    assert torch.equal(reordered.flatten(1), data[(slice(None), *old.T)])


@pytest.mark.parametrize("axes", AXES)
def test_match_axes_agrees_with_as_closest_canonical_of_nibabel(axes):
    grid = placed_grid((5, 6, 4), (1.5, 1.0, 3.0), axes, 10)
    data = torch.rand(grid.shape)
    image = nibabel.Nifti1Image(data.numpy(), grid.affine.numpy())
    expected = nibabel.as_closest_canonical(image)
    reordered, new_grid = match_axes(data, grid, Grid.from_spacing((3, 3, 3)))
    assert torch.equal(reordered, torch.tensor(expected.get_fdata().copy(), dtype=torch.float32))
    assert torch.allclose(new_grid.affine, torch.from_numpy(expected.affine))


def test_volume_in_the_target_order_is_not_copied(grid):
    data = torch.rand(grid.shape)
    reordered, new_grid = match_axes(data, grid, grid)
    assert reordered.data_ptr() == data.data_ptr()
    assert new_grid.same_as(grid)
