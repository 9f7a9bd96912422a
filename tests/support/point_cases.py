"""A grid with unequal sizes and spacings and exchanged axes, for tests of the spaces of points."""

import torch

from zoo.geometry import Grid

# Voxel (i, j, k) lies at (2 k - 1, -3 i + 2, 5 j + 4) mm.
TURNED = Grid(
    (4, 5, 6), torch.tensor([[0, 0, 2, -1], [-3, 0, 0, 2], [0, 5, 0, 4], [0, 0, 0, 1.0]]).double()
)
