import pytest
import torch
from scipy.spatial.transform import Rotation

from zoo.geometry.sampling import identity_index
from zoo.solvers.fusion import fit_rigid, fuse_fields, rigid_field


def two_fields():
    a = torch.zeros(1, 3, 2, 1, 1)
    b = torch.zeros(1, 3, 2, 1, 1)
    a[0, :, 0, 0, 0] = torch.tensor([-3.0, 1, 0])
    b[0, :, 0, 0, 0] = torch.tensor([1.0, 2, -1])
    b[0, :, 1, 0, 0] = torch.tensor([0.0, -1, 0])
    return a, b


@pytest.mark.parametrize(
    ("fusion", "first", "second"),
    [
        ("max_norm", [-3, 1, 0], [0, -1, 0]),
        ("signed_max", [1, 2, 0], [0, 0, 0]),
        ("mean", [-1, 1.5, -0.5], [0, -0.5, 0]),
        ("min_cost", [1, 2, -1], [0, 0, 0]),
    ],
)
def test_fusion_picks_the_values_of_its_rule(fusion, first, second):
    costs = [
        torch.tensor([2.0, 1.0]).view(1, 1, 2, 1, 1),
        torch.tensor([1.0, 3.0]).view(1, 1, 2, 1, 1),
    ]
    result = fuse_fields(two_fields(), fusion, costs)[0, :, :, 0, 0]
    assert result.T.tolist() == [first, second]


def test_only_the_signed_maximum_depends_on_the_direction_of_the_axes():
    a, b = two_fields()
    for fusion in ("max_norm", "mean"):
        assert torch.equal(fuse_fields([-a, -b], fusion), -fuse_fields([a, b], fusion))
    assert not torch.equal(fuse_fields([-a, -b], "signed_max"), -fuse_fields([a, b], "signed_max"))


def test_rigid_fit_survives_a_third_of_outliers():
    shape = (9, 10, 11)
    rotation = torch.tensor(Rotation.from_euler("xyz", [8, -5, 12], degrees=True).as_matrix())
    shift = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    field = rigid_field(rotation, shift, shape)
    index = identity_index(shape)
    expected = torch.einsum("ij,bjxyz->bixyz", rotation.float(), index) - index
    expected += shift.float().view(1, 3, 1, 1, 1)
    torch.testing.assert_close(field, expected, atol=1e-4, rtol=0)
    corrupted = field.clone()
    corrupted[:, :, :3] += 7
    result = fit_rigid(corrupted, torch.ones(1, 1, *shape))
    torch.testing.assert_close(result[0], rotation, atol=1e-5, rtol=0)
    torch.testing.assert_close(result[1], shift, atol=1e-3, rtol=0)


def test_rigid_fit_uses_only_cells_with_a_weight():
    shape = (6, 6, 6)
    field = torch.full((1, 3, *shape), 5.0)
    weight = torch.zeros(1, 1, *shape)
    weight[..., :2] = 1
    field[..., :2] = 1.0
    _, shift = fit_rigid(field, weight)
    torch.testing.assert_close(shift, torch.ones(3, dtype=torch.float64))


def test_rigid_field_of_coarse_cells_is_the_same_motion():
    """A motion in voxels, at the centres of cells of 2 voxels, is twice the motion in cells."""
    rotation = torch.tensor(Rotation.from_euler("z", 10, degrees=True).as_matrix())
    shift = torch.tensor([1.0, 0.5, -0.25], dtype=torch.float64)
    cells = rigid_field(rotation, shift, (4, 5, 6))
    voxels = rigid_field(rotation, shift, (8, 10, 12), stride=2)
    centres = torch.nn.functional.avg_pool3d(voxels, 2)
    torch.testing.assert_close(centres, cells * 2, atol=1e-4, rtol=0)
