"""Affine maps for the tests of working grids."""

import torch


def some_affine():
    affine = torch.eye(4, dtype=torch.float64)
    affine[:3, :3] += 0.05 * torch.tensor([[1, -1, 0], [1, 0.5, 0], [0, 0, -1]])
    affine[:3, 3] = torch.tensor([4.0, -3.0, 2.0])
    return affine
