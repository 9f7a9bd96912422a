"""Muon beside that of PyTorch, which accepts matrices only and works in half precision."""

from __future__ import annotations

import pytest
import torch
from compact.muon import Muon, orthogonal


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this PyTorch has no Muon")
@pytest.mark.parametrize("shape", [(8, 5, 3, 1, 1), (24, 2, 3, 1, 1)])
def test_a_convolution_is_updated_as_a_matrix(shape):
    torch.manual_seed(0)
    start = torch.randn(shape)
    ours = torch.nn.Parameter(start.clone())
    theirs = torch.nn.Parameter(start.flatten(1).clone())
    first = Muon([ours], rate=1e-3, matrix_rate=0.1)
    second = torch.optim.Muon([theirs], lr=0.1, weight_decay=0.0)
    for _ in range(3):
        gradient = torch.randn(shape)
        ours.grad, theirs.grad = gradient, gradient.flatten(1)
        first.step()
        second.step()
    moved, expected = (ours - start).flatten(1), theirs - start.flatten(1)
    assert (moved - expected).norm() < 0.03 * expected.norm()


def test_other_weights_are_updated_by_adam():
    torch.manual_seed(1)
    start = torch.randn(7)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    first = Muon([ours], rate=1e-2, matrix_rate=0.1)
    second = torch.optim.Adam([theirs], lr=1e-2, betas=(0.9, 0.995))
    for _ in range(5):
        ours.grad = theirs.grad = torch.randn(7)
        first.step()
        second.step()
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("shape", [(4, 30), (30, 4)])
def test_orthogonal_keeps_the_singular_vectors_and_evens_the_singular_values(shape):
    torch.manual_seed(2)
    matrix = torch.randn(shape)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    core = u.T @ orthogonal(matrix) @ v.T
    sizes = core.diagonal()
    assert sizes.min() > 0.6
    assert sizes.max() < 1.3
    assert (core - sizes.diag()).abs().max() < 1e-4
