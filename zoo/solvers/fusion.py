"""From several displacement fields one, and from a field its rigid part."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from zoo.geometry.sampling import affine_index, identity_index

Fusion = Literal["max_norm", "signed_max", "mean", "min_cost"]


def fuse(fields: Sequence[Tensor], fusion: Fusion, costs: Sequence[Tensor] = ()) -> Tensor:
    """Make one field [1, 3, x, y, z] of those of several moving images of one patient.

    "max_norm" keeps the longest vector of each cell; "signed_max" the largest value of each
    component, as the published code of MCBO does, which favours positive displacements; "mean" the
    average; "min_cost" the vector whose image fits best, by `costs` [1, 1, x, y, z], one a field.
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
    """Fit R [3, 3] and t [3] (float64, cells) so that i + d(i) = R i + t, least trimmed.

    Only cells where `weight` [1, 1, x, y, z] is positive count, and of those the share `keep` that
    the last estimate fits best. Cells are cubes, so that rigid in cells is rigid in mm.
    """
    source = identity_index(field.shape[2:], device=field.device).flatten(2)[0].T.double()
    goal = source + field.flatten(2)[0].T.double()
    counts = weight.flatten() > 0
    if counts.sum() > 3:
        source, goal = source[counts], goal[counts]
    rotation, shift = _rigid_fit(source, goal)
    for _ in range(iterations):
        distance = (source @ rotation.T + shift - goal).square().sum(1)
        best = distance.topk(max(3, int(keep * len(source))), largest=False).indices
        rotation, shift = _rigid_fit(source[best], goal[best])
    return rotation, shift


def rigid_field(rotation: Tensor, shift: Tensor, shape: Sequence[int], stride: int = 1) -> Tensor:
    """Return the displacement [1, 3, X, Y, Z] in voxels of a motion in cells of `stride` voxels."""
    centre = (stride - 1) / 2
    matrix = torch.eye(4, dtype=torch.float64, device=rotation.device)
    matrix[:3, :3] = rotation - matrix[:3, :3]
    matrix[:3, 3] = shift * stride - matrix[:3, :3].sum(1) * centre
    return affine_index(matrix, shape)


def _rigid_fit(source: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
    """Return R [3, 3] and t [3] of the least squares fit goal = R source + t (Kabsch)."""
    middle, aim = source.mean(0), goal.mean(0)
    u, _, vt = torch.linalg.svd((source - middle).T @ (goal - aim))
    sign = torch.ones(3, dtype=u.dtype, device=u.device)
    sign[2] = torch.sign(torch.linalg.det(u) * torch.linalg.det(vt))
    rotation = vt.T @ torch.diag(sign) @ u.T
    return rotation, aim - rotation @ middle
