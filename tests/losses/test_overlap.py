import numpy as np
import pytest
import torch

from zoo import UserError
from zoo.geometry.sampling import identity_index
from zoo.losses import (
    cell_volume,
    conserve_mass,
    folded_share,
    shared_one_hot,
    soft_dice,
    trim,
)

SHAPE = (7, 9, 8)


def labels(seed, values=(0, 1, 2, 5), batch=1):
    return torch.tensor(np.random.default_rng(seed).choice(values, size=(batch, 1, *SHAPE)))


def test_dice_of_label_maps_is_the_mean_over_the_shared_labels():
    a, b = labels(1, (0, 1, 2, 5, 9)), labels(2, (0, 1, 2, 5, 7))
    first, second = shared_one_hot(a, b)
    scores = [
        2 * float(((a == k) & (b == k)).sum()) / float((a == k).sum() + (b == k).sum())
        for k in (1, 2, 5)
    ]
    assert first.shape == (1, 3, *SHAPE)
    assert float(soft_dice(first, second)) == pytest.approx(1 - np.mean(scores), abs=1e-5)
    assert float(soft_dice(first, first)) == pytest.approx(0, abs=1e-6)


def test_label_maps_without_a_shared_label_are_refused():
    with pytest.raises(UserError, match="share no label"):
        shared_one_hot(labels(1, (0, 1)), labels(1, (0, 2)))


def test_labels_that_a_sample_lacks_do_not_count():
    first, second = torch.zeros(2, 2, *SHAPE), torch.zeros(2, 2, *SHAPE)
    first[0, 0] = second[0, 0] = 1  # sample 0 has the first label only, which overlaps
    first[1], second[1] = 1, 1
    second[1, 1] = 0  # sample 1 lacks the second one
    present = torch.tensor([[True, False], [True, False]])
    assert float(soft_dice(first, second, present)) == pytest.approx(0, abs=1e-6)


def test_cell_volume_of_an_affine_field_is_its_determinant():
    generator = torch.Generator().manual_seed(3)
    matrix = torch.eye(3) + 0.3 * torch.randn(3, 3, generator=generator)
    index = identity_index(SHAPE)
    field = torch.einsum("kj,bjxyz->bkxyz", matrix, index) - index
    expected = float(torch.linalg.det(matrix))
    np.testing.assert_allclose(cell_volume(field), expected, rtol=1e-4)
    assert cell_volume(field).shape == (1, 1, 6, 8, 7)


def test_compressed_tissue_becomes_denser():
    index = identity_index(SHAPE)
    image = torch.full((1, 1, *SHAPE), 0.5)
    dense = conserve_mass(image, 0.1 * index)  # the fixed voxel gathers 1.1^3 moving voxels
    np.testing.assert_allclose(dense, 0.5 * 1.1**3, rtol=1e-5)
    assert dense.shape == trim(image).shape


def test_a_mirrored_half_is_a_folded_half():
    index = identity_index((9, 5, 5))
    field = torch.zeros(1, 3, 9, 5, 5)
    field[:, 0] = torch.where(index[:, 0] > 4, 2 * (4 - index[:, 0]), 0 * index[:, 0])
    assert folded_share(torch.zeros_like(field)) == 0
    assert folded_share(field) == 0.5


def test_gradients_are_those_of_finite_differences():
    generator = torch.Generator().manual_seed(4)
    warped = torch.rand(1, 2, 3, 4, 3, generator=generator).double().requires_grad_()
    field = torch.randn(1, 3, 3, 4, 3, generator=generator).double().requires_grad_()
    target = torch.rand(1, 2, 3, 4, 3, generator=generator).double()
    assert torch.autograd.gradcheck(lambda w: soft_dice(w, target), (warped,), fast_mode=True)
    assert torch.autograd.gradcheck(conserve_mass, (warped, field), fast_mode=True)
