"""What a map must carry over: labels, and the mass that a CT shows."""

import torch
from torch import Tensor, nn

from zoo.errors import UserError


def shared_one_hot(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Turn two label maps [B, 1, X, Y, Z] into float masks [B, L, X, Y, Z] of shared labels.

    The L labels are those, apart from 0, that occur in both batches, in ascending order.
    """
    labels = sorted((set(first.unique().tolist()) & set(second.unique().tolist())) - {0})
    if not labels:
        raise UserError("the two label maps share no label other than 0; the Dice loss needs one")
    wanted = torch.tensor(labels, device=first.device).view(1, -1, 1, 1, 1)
    return (first == wanted).float(), (second == wanted).float()


def soft_dice(warped: Tensor, target: Tensor, present: Tensor | None = None) -> Tensor:
    """Return one minus the mean Dice of `warped` and `target` [B, L, X, Y, Z], each in [0, 1].

    `present` [B, L] says which labels of a sample count (a label that one of its images lacks can
    never fit); each sample is averaged over its own labels first.
    """
    common = (warped * target).sum((2, 3, 4))
    size = warped.sum((2, 3, 4)) + target.sum((2, 3, 4))
    loss = 1 - (2 * common + 1e-6) / (size + 1e-6)
    if present is None:
        return loss.mean()
    return ((loss * present).sum(1) / present.sum(1).clamp_min(1)).mean()


class Dice(nn.Module):
    """`soft_dice` as a module."""

    def forward(self, warped: Tensor, target: Tensor, present: Tensor | None = None) -> Tensor:
        """Return the loss, a scalar, of two sets of masks [B, L, X, Y, Z]."""
        return soft_dice(warped, target, present)


def conserve_mass(warped: Tensor, displacement: Tensor) -> Tensor:
    """Multiply a warped CT [B, C, X, Y, Z] by the change of volume; one voxel less an axis.

    Lung that is squeezed grows denser. Only right where 0 means no mass (air). The displacement
    [B, 3, X, Y, Z] is in voxels; the change of volume belongs to the cell between voxel i and
    i + 1, and the cell is given the intensity of voxel i. Trim masks and the fixed image alike,
    by `trim`.
    """
    return trim(warped) * cell_volume(displacement)


def trim(image: Tensor) -> Tensor:
    """Drop the last voxel of each axis of [B, C, X, Y, Z]."""
    return image[:, :, :-1, :-1, :-1]


def cell_volume(displacement: Tensor) -> Tensor:
    """Return each cell's volume after the map: [B, 1, X - 1, Y - 1, Z - 1], 1 where it is kept.

    One-sided differences towards the cell's far corner; 0 or less where the map folds.
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
    """Return the share, in [0, 1], of cells that a field [B, 3, X, Y, Z] in voxels turns over."""
    with torch.no_grad():
        return float((cell_volume(displacement) <= 0).float().mean())
