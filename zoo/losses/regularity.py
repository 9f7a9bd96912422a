"""How regular a map is: gradient inverse consistency of two maps, roughness of one field.

A map is a function of points: [B, 3, x, y, z] in the unit cube ([0, 1] from the first voxel centre
to the last, component k along array axis k) -> the same. Fields of displacement are in voxels.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from zoo.geometry.displacement_maps import DisplacementMap, last_index, unit_grid

Points = Callable[[Tensor], Tensor]


def field_map(displacement: Tensor) -> DisplacementMap:
    """Return the map x -> x + u(x) of a displacement [B, 3, X, Y, Z] in voxels, linear between."""
    return DisplacementMap(displacement / last_index(displacement.shape[2:], displacement))


def consistency_points(
    shape: Sequence[int], generator: torch.Generator | None = None, *, stride: int = 2
) -> Tensor:
    """Return every `stride`-th voxel of a grid, moved at random: [1, 3, x, y, z], unit cube.

    The noise is normal with a standard deviation of 2 / (voxels of the last axis). It is drawn on
    the CPU for the whole grid, so that a seed gives the same points on every device.
    """
    noise = torch.randn(1, 3, *shape, generator=generator)
    points = unit_grid(shape, noise) + 2 * noise / shape[-1]
    return points[:, :, ::stride, ::stride, ::stride].contiguous()


def gradicon(forward: Points, reverse: Points, points: Tensor, delta: float = 1e-3) -> Tensor:
    """Return the gradient inverse consistency of two maps at `points` [B, 3, x, y, z], a scalar.

    The error is e(x) = x - forward(reverse(x)), zero for inverse maps; what is penalised is its
    slope: the sum over the axes of the mean of ((e(x) - e(x + delta along the axis)) / delta)^2.
    """

    def error(x: Tensor) -> Tensor:
        return x - forward(reverse(x))

    moved = [points]
    for axis in range(3):
        step = points.new_zeros(1, 3, 1, 1, 1)
        step[:, axis] = delta
        moved.append(points + step)
    # One pair's four sets of points are a batch: sampling works in parallel over batches only.
    here, *ahead = error(torch.cat(moved)).split(1) if len(points) == 1 else map(error, moved)
    slopes = [(((here - there) / delta) ** 2).mean() for there in ahead]
    return torch.stack(slopes).sum()


class GradICONLoss(nn.Module):
    """Gradient inverse consistency of two displacement fields, at fresh random points each call."""

    def __init__(self, seed: int | None = None, stride: int = 2) -> None:
        super().__init__()
        self.stride = stride
        self.generator = None if seed is None else torch.Generator().manual_seed(seed)

    def forward(self, displacement: Tensor, reverse: Tensor) -> Tensor:
        """Return the loss, a scalar, of two fields [B, 3, X, Y, Z] in voxels of one grid."""
        shape = displacement.shape[2:]
        points = consistency_points(shape, self.generator, stride=self.stride).to(displacement)
        points = points.expand(len(displacement), *points.shape[1:])
        return gradicon(field_map(displacement), field_map(reverse), points)


def gradient_penalty(displacement: Tensor) -> Tensor:
    """Return the mean squared forward difference of a field [B, 3, X, Y, Z] in voxels, a scalar.

    The mean over voxels and components is taken along each axis, then the mean of the three axes.
    """
    slopes = [torch.diff(displacement, dim=axis).pow(2) for axis in (2, 3, 4)]
    means = [slope.mean() for slope in slopes if slope.numel()]
    return torch.stack(means).sum() / 3 if means else displacement.sum() * 0


class GradientPenalty(nn.Module):
    """`gradient_penalty` as a module: the smoothness term of UniReg."""

    def forward(self, displacement: Tensor) -> Tensor:
        """Return the penalty, a scalar, of a field [B, 3, X, Y, Z] in voxels."""
        return gradient_penalty(displacement)
