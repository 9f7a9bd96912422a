"""Alignment of two anatomies by the centres of their labels, and the box of a mask."""

import numpy as np
import pytest
import torch
from scipy.ndimage import center_of_mass

from zoo.synthesis.anatomies import Anatomy, aligning_affine, box_mm


def anatomy(seed, spacing=(1.5, 2.0, 4.0)):
    labels = torch.randint(0, 6, (9, 12, 7), generator=torch.Generator().manual_seed(seed))
    return Anatomy(labels.byte(), torch.tensor(spacing, dtype=torch.float64))


def test_centroids_are_those_of_scipy_in_mm():
    person = anatomy(0)
    centres = person.centres
    labels = person.labels.numpy()
    expected = np.array(center_of_mass(labels > 0, labels, range(1, 6))) * person.spacing.numpy()
    np.testing.assert_allclose(centres[1:6], expected)
    assert centres[0].isnan().all()
    assert centres[6:].isnan().all()


def test_a_permuted_person_has_permuted_centres():
    person = anatomy(0)
    turned = person.permuted((2, 0, 1))
    assert turned.labels.shape == (7, 9, 12)
    torch.testing.assert_close(turned.centres, person.centres[:, [2, 0, 1]], equal_nan=True)


def test_an_affine_between_many_centres_is_found_and_few_give_a_shift():
    generator = torch.Generator().manual_seed(1)
    fixed = torch.full((256, 3), torch.nan, dtype=torch.float64)
    fixed[1:40] = 80 * torch.rand(39, 3, generator=generator, dtype=torch.float64)
    linear = torch.eye(3, dtype=torch.float64)
    linear += 0.1 * torch.randn(3, 3, generator=generator, dtype=torch.float64)
    moving = fixed @ linear.T + torch.tensor([5.0, -3.0, 2.0])
    moving[3] = torch.nan  # not shared
    found = aligning_affine(fixed, moving, stiffness=1e-6)
    torch.testing.assert_close(found[:3, :3], linear, atol=1e-6, rtol=0)
    moved = fixed[1:40] @ found[:3, :3].T + found[:3, 3]
    assert (moved - (fixed[1:40] @ linear.T + torch.tensor([5.0, -3.0, 2.0]))).abs().max() < 1e-4

    fixed[2:] = torch.nan
    shift = aligning_affine(fixed, moving)
    torch.testing.assert_close(shift[:3, :3], torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(shift[:3, 3], moving[1] - fixed[1])
    nothing = aligning_affine(fixed.fill_(torch.nan), moving)
    torch.testing.assert_close(nothing, torch.eye(4, dtype=torch.float64))


@pytest.mark.parametrize("corner", [(0, 0, 0), (2, 3, 1)])
def test_a_box_is_in_mm_between_the_outermost_voxel_centres(corner):
    mask = torch.zeros(6, 8, 5, dtype=torch.bool)
    mask[corner] = mask[4, 6, 3] = True
    spacing = torch.tensor([1.5, 2.0, 4.0], dtype=torch.float64)
    low, high = box_mm(mask, spacing)
    torch.testing.assert_close(low, torch.tensor(corner).double() * spacing)
    torch.testing.assert_close(high, torch.tensor([4, 6, 3]).double() * spacing)
