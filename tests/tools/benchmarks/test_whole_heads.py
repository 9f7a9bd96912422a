"""Whole heads of different coverage: the pairs and their resolution."""

import torch
from benchmarks.alignment_coverage import head_pairs
from benchmarks.whole_heads import SPACING, coarser

from zoo.geometry import Grid


def test_a_coarser_head_shows_the_same_places():
    affine = torch.tensor([[-1, 0.2, 0, 30], [0.2, 1, 0, -7], [0, 0, 0.8, 5], [0, 0, 0, 1]])
    grid = Grid((20, 24, 30), affine.double())
    index = torch.cartesian_prod(*[torch.arange(n).double() for n in grid.shape])
    slope = torch.tensor([1.0, 3.0, -2.0]).double()
    image = (grid.to_world(index) @ slope).view(grid.shape).float()
    found = coarser(image, grid)
    assert all(abs(mm - SPACING) < 0.1 for mm in found.grid.spacing)
    inner = torch.tensor([[2.0, 3, 4], [5, 6, 7]]).double()
    values = torch.stack([found.data[tuple(i.int().tolist())] for i in inner]).double()
    assert torch.allclose(values, found.grid.to_world(inner) @ slope, atol=1e-3)


def test_every_head_is_cut_at_the_neck_and_every_second_one_is_padded(tmp_path):
    names = [name for name, _ in head_pairs(tmp_path, ("neck",))]
    assert all("_neck_" in name for name in names)
    assert ["padded" in name for name in names[:4]] == [True, False, True, False]
    sides = {name.rpartition("_")[2] for name in names}
    assert sides == {"fixed", "moving"}
