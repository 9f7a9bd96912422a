"""Overlap of warped labels, conservation of mass in warped CT, and folding of a field."""

import torch
from torch import Tensor

from zoo.errors import UserError


def shared_one_hot(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Turn two label maps [B, 1, X, Y, Z] into float masks [B, L, X, Y, Z] of shared labels.

    The L labels, in ascending order, are those other than 0 that occur in both batches.
    """
    labels = sorted((set(first.unique().tolist()) & set(second.unique().tolist())) - {0})
    if not labels:
        raise UserError(
            "the two label maps share no label other than 0, but a Dice loss needs at least one; "
            "check that both maps number the structures in the same way"
        )
    channels = torch.tensor(labels, device=first.device).view(1, -1, 1, 1, 1)
    return (first == channels).float(), (second == channels).float()


def soft_dice(warped: Tensor, target: Tensor, present: Tensor | None = None) -> Tensor:
    """Return one minus the mean Dice of `warped` and `target` [B, L, X, Y, Z], each in [0, 1].

    `present` [B, L] selects the labels that count for each sample, because a label that one of its
    images lacks can never overlap. Each sample is averaged over its own labels first.
    """
    common = (warped * target).sum((2, 3, 4))
    size = warped.sum((2, 3, 4)) + target.sum((2, 3, 4))
    loss = 1 - (2 * common + 1e-6) / (size + 1e-6)
    if present is None:
        return loss.mean()
    return ((loss * present).sum(1) / present.sum(1).clamp_min(1)).mean()


def conserve_mass(warped: Tensor, displacement: Tensor) -> Tensor:
    """Multiply a warped CT [B, C, X, Y, Z] by the local change of volume.

    Compressed lung becomes denser. The intensities must be proportional to mass, with 0 for air.
    The displacement [B, 3, X, Y, Z] is in voxels. The change of volume belongs to the cell between
    voxels i and i + 1, which takes the intensity of voxel i; the result therefore has one voxel
    less per axis. Apply `trim` to the fixed image and to masks to match it.
    """
    return trim(warped) * cell_volume(displacement)


def trim(image: Tensor) -> Tensor:
    """Drop the last voxel of each axis of [B, C, X, Y, Z]."""
    return image[:, :, :-1, :-1, :-1]


def cell_volume(displacement: Tensor) -> Tensor:
    """Return the volume of each cell after the map, relative to before: [B, 1, X-1, Y-1, Z-1].

    `displacement` [B, 3, X, Y, Z] is in voxels. The Jacobian uses one-sided differences towards the
    far corner of the cell; the volume is 0 or negative where the map folds.
    """
    far = displacement[:, :, 1:, 1:, 1:]
    edges = [
        far - displacement[:, :, :-1, 1:, 1:],
        far - displacement[:, :, 1:, :-1, 1:],
        far - displacement[:, :, 1:, 1:, :-1],
    ]
    (a, b, c), (d, e, f), (g, h, i) = (edge.unbind(1) for edge in edges)
    a, e, i = a + 1, e + 1, i + 1
    return (a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))[:, None]


def folded_share(displacement: Tensor) -> float:
    """Return the share of folded cells, in [0, 1], of a field [B, 3, X, Y, Z] in voxels."""
    with torch.no_grad():
        return float((cell_volume(displacement) <= 0).float().mean())
