"""Regularity of maps: gradient inverse consistency of two maps, smoothness of one field.

A map takes points [B, 3, x, y, z] to points of the same shape. Points are in the unit cube: 0 is
the centre of the first voxel and 1 that of the last one, component k belongs to array axis k.
Displacement fields are in voxels.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from zoo.geometry.displacement_maps import DisplacementMap, last_index, unit_grid

PointMap = Callable[[Tensor], Tensor]


def field_map(displacement: Tensor) -> DisplacementMap:
    """Return the map x -> x + u(x) of a displacement [B, 3, X, Y, Z] in voxels, interpolated."""
    return DisplacementMap(displacement / last_index(displacement.shape[2:], displacement))


def consistency_points(shape: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
    """Return every second voxel of a grid, moved at random: [1, 3, x, y, z] in the unit cube.

    The noise is normal with a standard deviation of 2 / (voxels of the last axis). It is drawn on
    the CPU for the whole grid, so that a seed gives the same points on every device.
    """
    noise = torch.randn(1, 3, *shape, generator=generator)
    points = unit_grid(shape, noise) + 2 * noise / shape[-1]
    return points[:, :, ::2, ::2, ::2].contiguous()


def gradicon(forward: PointMap, reverse: PointMap, points: Tensor, delta: float = 1e-3) -> Tensor:
    """Return the gradient inverse consistency of two maps at `points` [B, 3, x, y, z], a scalar.

    The error e(x) = x - forward(reverse(x)) is zero for inverse maps. The loss penalises its slope:
    it is the sum over the axes of the mean of ((e(x) - e(x + delta along the axis)) / delta)^2.
    """

    def error(x: Tensor) -> Tensor:
        return x - forward(reverse(x))

    moved = [points]
    for axis in range(3):
        step = points.new_zeros(1, 3, 1, 1, 1)
        step[:, axis] = delta
        moved.append(points + step)
    # A single pair evaluates its four sets of points as one batch, because sampling runs in
    # parallel over the batch only.
    base, *shifted = error(torch.cat(moved)).split(1) if len(points) == 1 else map(error, moved)
    slopes = [(((base - other) / delta) ** 2).mean() for other in shifted]
    return torch.stack(slopes).sum()


def gradient_penalty(displacement: Tensor) -> Tensor:
    """Return the mean squared forward difference of a field [B, 3, X, Y, Z] in voxels, a scalar.

    The mean over voxels and components is taken for each axis, then averaged over the three axes.
    This is the smoothness term of UniReg.
    """
    slopes = [torch.diff(displacement, dim=axis).pow(2) for axis in (2, 3, 4)]
    means = [slope.mean() for slope in slopes if slope.numel()]
    return torch.stack(means).sum() / 3 if means else displacement.sum() * 0
