import nibabel
import pytest
import torch
import torch.nn.functional as F

from zoo.geometry import Grid
from zoo.synthesis.phantom import placed_grid


def test_axis_codes_equal_those_of_nibabel(grid):
    assert grid.axis_codes == "".join(nibabel.aff2axcodes(grid.affine.numpy()))


def test_spacing_equals_that_of_nibabel(grid):
    expected = nibabel.affines.voxel_sizes(grid.affine.numpy())
    assert grid.spacing == pytest.approx(expected.tolist())


def test_to_index_inverts_to_world(grid):
    index = torch.rand(50, 3, dtype=torch.float64) * 20
    assert torch.allclose(grid.to_index(grid.to_world(index)), index, atol=1e-9)


def test_the_number_of_voxels_and_the_centre_are_those_of_all_voxels(grid):
    voxels = torch.cartesian_prod(*[torch.arange(n) for n in grid.shape])
    assert grid.voxels == len(voxels)
    assert torch.allclose(grid.centre, grid.to_world(voxels).mean(dim=0))


@pytest.mark.parametrize("shape", [(75, 75, 75), (11, 60, 19), (23, 30, 1)])
def test_resize_agrees_with_torch_interpolate(grid, shape):
    """World coordinates stored as a volume and resized by torch are those of the new grid."""
    small = grid.resize(shape)
    ramp = grid.to_world(torch.cartesian_prod(*[torch.arange(n).double() for n in grid.shape]))
    volume = ramp.T.reshape(1, 3, *grid.shape)
    resized = F.interpolate(volume, size=shape, mode="trilinear", align_corners=False)[0]
    expected = small.to_world(torch.cartesian_prod(*[torch.arange(n).double() for n in shape]))
    expected = expected.T.reshape(3, *shape)
    # torch repeats the border value outside the outermost voxel centres; leave these voxels out
    index = grid.to_index(expected.flatten(1).T).T.reshape(3, *shape)
    last = torch.tensor(grid.shape).view(3, 1, 1, 1) - 1
    within = ((index >= 0) & (index <= last)).all(dim=0)
    assert within.any()
    assert (resized - expected)[:, within].abs().max() < 1e-6


def test_resize_keeps_the_field_of_view(grid):
    small = grid.resize((10, 12, 7))
    for shape, corner in (((10, 12, 7), small), (grid.shape, grid)):
        low = corner.to_world(torch.tensor([[-0.5, -0.5, -0.5]]))
        high = corner.to_world(torch.tensor([[n - 0.5 for n in shape]]))
        assert torch.allclose(low, grid.to_world(torch.tensor([[-0.5] * 3])))
        assert torch.allclose(high, grid.to_world(torch.tensor([[n - 0.5 for n in grid.shape]])))


def test_with_spacing_rounds_to_whole_voxels():
    grid = placed_grid((100, 80, 30), (1, 1, 4), "LPS", 10).with_spacing((2, 2, 2))
    assert grid.shape == (50, 40, 60)
    assert grid.spacing == pytest.approx((2, 2, 2))


def test_same_as_compares_corners_in_mm(grid):
    nudge = torch.eye(4, dtype=torch.float64)
    nudge[0, 3] = 5e-4
    assert grid.same_as(grid.moved(nudge))
    nudge[0, 3] = 5e-3
    assert not grid.same_as(grid.moved(nudge))
    assert not grid.same_as(Grid((23, 30, 18), grid.affine))


def test_describe_gives_shape_spacing_and_orientation():
    grid = placed_grid((96, 96, 60), (2.5, 2.5, 2.5), "LAS")
    assert grid.describe() == "96x96x60, 2.5x2.5x2.5 mm, LAS"


@pytest.mark.parametrize(
    ("shape", "affine"),
    [
        ((3, 0, 3), torch.eye(4)),
        ((3, 3), torch.eye(4)),
        ((3, 3, 3), torch.eye(5)),
        ((3, 3, 3), torch.zeros(4, 4)),
        ((3, 3, 3), torch.eye(4) / 0),
    ],
)
def test_invalid_shapes_and_affines_are_refused(shape, affine):
    with pytest.raises(ValueError, match="grid"):
        Grid(shape, affine)
