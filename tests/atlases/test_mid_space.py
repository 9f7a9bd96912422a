"""The space between the images of a group."""

import torch
from support.group_cases import GRIDS

from zoo.atlases import box_of_grid, mid_space_grid, mid_space_maps
from zoo.geometry import Grid


def affine(seed):
    random = torch.Generator().manual_seed(seed)
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3] += 0.15 * torch.randn(3, 4, generator=random, dtype=torch.float64)
    matrix[:3, 3] *= 100
    return matrix


def test_the_reference_has_no_influence():
    to_subject = [affine(k) for k in range(4)]
    by_reference = [
        mid_space_maps([matrix @ torch.linalg.inv(reference) for matrix in to_subject])
        for reference in to_subject
    ]
    for maps in by_reference[1:]:
        for one, other in zip(maps, by_reference[0], strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-8)


def test_the_mid_space_of_two_images_is_half_way():
    matrix = affine(1)
    first, second = mid_space_maps([torch.eye(4, dtype=torch.float64), matrix])
    torch.testing.assert_close(second @ torch.linalg.inv(first), matrix, atol=1e-9, rtol=0)
    torch.testing.assert_close(first @ second, torch.eye(4).double(), atol=1e-9, rtol=0)


def test_the_grid_has_the_median_field_of_view_and_voxels_of_equal_volume():
    identity = [torch.eye(4, dtype=torch.float64)] * 3
    grids = [Grid.from_spacing((20, 20, 20), (s, s, 2 * s)) for s in (1.0, 2.0, 3.0)]
    grid = mid_space_grid(grids, identity, None)
    low, high = box_of_grid(grid)
    wanted_low, wanted_high = box_of_grid(grids[1])
    step = 2 * 2 ** (1 / 3)
    assert torch.allclose(torch.tensor(grid.spacing), torch.tensor([step] * 3))
    assert float((low - wanted_low).abs().max()) <= step / 2
    assert float((high - wanted_high).abs().max()) <= step / 2
    assert grid.axis_codes == "RAS"


def test_a_spacing_can_be_chosen_on_oblique_grids():
    identity = [torch.eye(4, dtype=torch.float64)] * len(GRIDS)
    grid = mid_space_grid(GRIDS, identity, 5.0)
    assert torch.allclose(torch.tensor(grid.spacing), torch.tensor([5.0] * 3))
    ends = [box_of_grid(g) for g in GRIDS]
    wanted = torch.stack([high - low for low, high in ends]).median(dim=0).values
    extent = torch.tensor(grid.shape) * 5.0
    assert torch.all((extent - wanted).abs() < 15)
