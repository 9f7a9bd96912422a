"""Points in voxels and in LPS, compared with the affine of the image."""

import pytest
import torch
from support.point_cases import TURNED

from zoo import UserError
from zoo.io.points import check_space, from_world, to_world

POINTS = {
    "ras": [[3.0, -4, 9], [-1, 2, 4]],
    "lps": [[-3.0, 4, 9], [1, -2, 4]],
    "voxel": [[2.0, 1, 2], [0, 0, 0]],
}


@pytest.mark.parametrize(
    ("space", "grid"),
    [("voxel", TURNED), ("ras", TURNED), ("ras", None), ("lps", TURNED), ("lps", None)],
)
def test_points_are_mapped_in_both_directions(space, grid):
    own = torch.tensor(POINTS[space], dtype=torch.float64)
    world = torch.tensor(POINTS["ras"], dtype=torch.float64)
    torch.testing.assert_close(to_world(own, space, grid), world)
    torch.testing.assert_close(from_world(world, space, grid), own)


@pytest.mark.parametrize("space", ["ras", "lps", "voxel"])
def test_only_voxels_need_an_image(space):
    check_space(space, TURNED)
    if space != "voxel":
        check_space(space, None)
        return
    with pytest.raises(UserError, match="need the image"):
        check_space(space, None)


@pytest.mark.parametrize("space", ["RAS", "mni", "", "voxels"])
@pytest.mark.parametrize("grid", [TURNED, None])
def test_other_spaces_are_refused(space, grid):
    with pytest.raises(UserError, match=f"must be ras, lps or voxel, not '{space}'"):
        check_space(space, grid)
