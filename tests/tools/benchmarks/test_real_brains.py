"""Masks and faults of real brains: the variants of a pair."""

from pathlib import Path

import torch
from benchmarks.real_brains import TRIED_FAULTS, variants

from zoo.geometry import Grid
from zoo.io.volume import Volume


def brain(seed):
    """Return a box of noise in a background of zeros, on an oblique LPS grid."""
    random = torch.Generator().manual_seed(seed)
    data = torch.zeros(12, 10, 8)
    data[3:9, 2:8, 2:6] = 1 + torch.rand((6, 6, 4), generator=random)
    affine = torch.tensor([[-2, 0.1, 0, 30], [0.1, -2, 0, -7], [0, 0, 3, 5], [0, 0, 0, 1]])
    return Volume(data, Grid((12, 10, 8), affine.double()), Path("brain.nii.gz"))


def test_masks_cover_the_brain_and_labels_share_the_faults_of_the_header():
    names = ("fixed", "moving", "fixed_labels", "moving_labels")
    images = {name: brain(seed) for seed, name in enumerate(names)}
    found = dict(variants(images))
    assert list(found)[-len(TRIED_FAULTS) :] == list(TRIED_FAULTS)
    assert int(found["both masks"]["moving_mask"].data.sum()) == 6 * 6 * 4
    assert "moving_mask" not in found["mask of the fixed brain"]
    mirrored = found["mirrored header"]
    index = torch.tensor([[0.0, 0, 0], [11, 3, 6]], dtype=torch.float64)
    before, after = (pair["moving_labels"].grid.to_world(index) for pair in (images, mirrored))
    centre = images["moving"].grid.centre
    assert torch.allclose(after[:, 0] - centre[0], centre[0] - before[:, 0])
    assert torch.equal(after[:, 1:], before[:, 1:])
    assert mirrored["moving"].grid.same_as(mirrored["moving_labels"].grid)
    assert mirrored["fixed"] is images["fixed"]
