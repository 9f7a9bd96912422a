"""Combination of several displacement fields into one, and the rigid part of a field."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from zoo.geometry.sampling import affine_index, identity_index

Fusion = Literal["max_norm", "signed_max", "mean", "min_cost"]


def fuse_fields(fields: Sequence[Tensor], fusion: Fusion, costs: Sequence[Tensor] = ()) -> Tensor:
    """Combine the fields [1, 3, x, y, z] of several moving images of one patient into one.

    "max_norm" keeps the longest vector of each cell, "mean" takes the average, and "min_cost" keeps
    the vector of the image with the lowest of `costs` [1, 1, x, y, z], one for each field.
    "signed_max" keeps the largest value of each component, as the published code of MCBO does,
    which favours positive displacements.
    """
    if len(fields) == 1:
        return fields[0]
    stacked = torch.stack(list(fields))
    if fusion == "mean":
        return stacked.mean(0)
    if fusion == "signed_max":
        return stacked.amax(0)
    if fusion == "max_norm":
        best = stacked.square().sum(2, keepdim=True).argmax(0, keepdim=True)
    else:
        best = torch.stack(list(costs)).argmin(0, keepdim=True)
    return stacked.gather(0, best.expand(1, *fields[0].shape))[0]


def fit_rigid(
    field: Tensor, weight: Tensor, *, keep: float = 0.5, iterations: int = 10
) -> tuple[Tensor, Tensor]:
    """Fit R [3, 3] and t [3] (float64, in cells) to i + d(i) = R i + t by least trimmed squares.

    Only cells where `weight` [1, 1, x, y, z] is positive count, and each iteration keeps the
    fraction `keep` of them that the previous estimate fits best. Cells are cubes, so a motion that
    is rigid in cells is rigid in mm. The result is on the CPU, because Apple's GPUs have no double
    precision.
    """
    source = identity_index(field.shape[2:], dtype=torch.float64).flatten(2)[0].T
    target = source + field.cpu().flatten(2)[0].T
    counts = weight.cpu().flatten() > 0
    if counts.sum() > 3:
        source, target = source[counts], target[counts]
    rotation, shift = _rigid_fit(source, target)
    for _ in range(iterations):
        distance = (source @ rotation.T + shift - target).square().sum(1)
        best = distance.topk(max(3, int(keep * len(source))), largest=False).indices
        rotation, shift = _rigid_fit(source[best], target[best])
    return rotation, shift


def rigid_field(rotation: Tensor, shift: Tensor, shape: Sequence[int], stride: int = 1) -> Tensor:
    """Return the displacement [1, 3, X, Y, Z] in voxels of a motion in cells of `stride` voxels."""
    centre = (stride - 1) / 2
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3] = rotation - matrix[:3, :3]
    matrix[:3, 3] = shift * stride - matrix[:3, :3].sum(1) * centre
    return affine_index(matrix, shape)


def _rigid_fit(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return R [3, 3] and t [3] of the least squares fit target = R source + t (Kabsch)."""
    source_mean, target_mean = source.mean(0), target.mean(0)
    u, _, vt = torch.linalg.svd((source - source_mean).T @ (target - target_mean))
    sign = torch.ones(3, dtype=u.dtype)
    sign[2] = torch.sign(torch.linalg.det(u) * torch.linalg.det(vt))
    rotation = vt.T @ torch.diag(sign) @ u.T
    return rotation, target_mean - rotation @ source_mean
