"""Random views of an anatomy: position, direction and voxel size of the grid that shows it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.geometry.sampling import affine_index, sample
from zoo.synthesis.random_numbers import Random

TILT = 0.12
"""Standard deviation of the rotation about each axis, in radians."""
ANISOTROPY = 0.15
"""Standard deviation of the logarithm of the voxel size along each axis."""


def draw_view(
    random: Random, box: tuple[Tensor, Tensor], shape: Sequence[int], voxels: tuple[float, float]
) -> Tensor:
    """Draw a grid of a shape that shows a part of a box: [4, 4], from voxels to mm, on the CPU.

    `box` holds the lowest and the highest point [3] in mm, `voxels` the range of the voxel size in
    mm. Along each axis the grid lies within the box, or the box within the grid.
    """
    low, high = box
    finest, coarsest = voxels
    mean = finest * (coarsest / finest) ** random.uniform(0, 1)
    size = mean * torch.exp(ANISOTROPY * random.randn(3).cpu().double().clamp(-2, 2))
    a, b, c = (TILT * random.randn(3).cpu().double().clamp(-2, 2)).tolist()
    turn = torch.tensor([[0, -c, b], [c, 0, -a], [-b, a, 0]], dtype=torch.float64)
    last = torch.tensor(list(shape), dtype=torch.float64) - 1
    room = ((high - low) - last * size).abs()
    centre = (low + high) / 2 + (random.rand(3).cpu().double() - 0.5) * room
    view = torch.eye(4, dtype=torch.float64)
    view[:3, :3] = torch.linalg.matrix_exp(turn) * size
    view[:3, 3] = centre - view[:3, :3] @ (last / 2)
    return view


def seen_index(
    view: Tensor, spacing: Tensor, shape: Sequence[int], device: torch.device | str
) -> Tensor:
    """Return the voxels of an anatomy that a view shows: [1, 3, X, Y, Z], on a device."""
    matrix = view.clone()
    matrix[:3] /= spacing[:, None]
    return affine_index(matrix, shape, device=device)


def sample_view(images: Tensor, index: Tensor, background: Tensor, ratio: Sequence[int]) -> Tensor:
    """Interpolate images [M, X, Y, Z] at `index` [1, 3, x, y, z] -> [M, x, y, z].

    Images are first averaged over `ratio` voxels along each axis, so that a coarse view shows
    partial volumes. Outside the images, the value is the `background` [M] of each.
    """
    level = background.view(-1, 1, 1, 1)
    images = images - level
    if max(ratio) > 1:
        images = F.avg_pool3d(images[None], tuple(ratio), ceil_mode=True, count_include_pad=False)[
            0
        ]
        factor = torch.tensor(list(ratio), device=index.device).view(1, 3, 1, 1, 1)
        index = (index - (factor - 1) / 2) / factor
    return sample(images[None], index, outside="zeros")[0] + level


def pooling_ratio(view: Tensor, spacing: Tensor) -> list[int]:
    """Return how many voxels of an anatomy, along each axis, a voxel of a view averages."""
    size = view[:3, :3].abs().sum(dim=1)  # nearly the voxel size, as the rotation is small
    return [max(1, int(ratio)) for ratio in size / spacing]
