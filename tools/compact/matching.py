"""Matching of crops: what one U-Net of GradICON learns before the four U-Nets learn together.

A U-Net sees two images and must learn that the displacement follows from their difference and the
slope along each axis. When pairs are noisy and have two contrasts, learning takes long to begin.
The U-Net therefore starts with filters that compute difference and slope, and with pairs that
differ in nothing but the displacement.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from compact.crops import Crops
from zoo.geometry.sampling import identity_index, sample
from zoo.networks.unet import UNet

MAX_PASSES = 2
"""The largest number of passes of the U-Net, each on what the passes before it leave."""
ERROR_OFFSET = 0.3
"""Voxels that are added to the error of a crop before the loss is divided by it."""
AIR_WEIGHT = 0.5
"""Weight of a voxel of air, relative to the body, where the displacement should be smooth."""
GAIN = 8.0
"""Factor of the first filters, which brings their output to the scale of the images."""


def matching_losses(
    unet: UNet, crops: Crops, passes: int, *, relative: bool = False
) -> dict[str, Tensor]:
    """Return "loss", the mean error in voxels over all passes, and "error", that of the last pass.

    If `relative`, the loss is the share of the error of each crop, air included, that each pass
    leaves. Small displacements, which are the most frequent between real scans, then count as well.
    """
    body = crops.fixed[:, 0] > 0.02
    displacements = matched(unet, crops.moving, crops.fixed, passes)
    distance = torch.stack([(d - crops.truth).norm(dim=1) for d in displacements])
    error = distance[-1].detach()[body].mean()
    if not relative:
        return {"loss": distance[:, body].mean(), "error": error}
    weight = torch.where(body, 1.0, AIR_WEIGHT)
    after = (distance * weight).mean(dim=(2, 3, 4)) / weight.mean(dim=(1, 2, 3))
    start = (crops.truth.norm(dim=1) * weight).mean(dim=(1, 2, 3)) / weight.mean(dim=(1, 2, 3))
    before = torch.cat([start[None], after[:-1].detach()])
    return {"loss": (after / (before + ERROR_OFFSET)).mean(), "error": error}


def matched(unet: UNet, moving: Tensor, fixed: Tensor, passes: int) -> list[Tensor]:
    """Return the displacement [B, 3, X, Y, Z] in voxels after each pass.

    Gradients do not flow from one pass to the one before it.
    """
    scale = fixed.shape[2] - 1
    index = identity_index(fixed.shape[2:], device=fixed.device)
    displacements = [scale * unet(moving, fixed)]
    while len(displacements) < passes:
        before = displacements[-1].detach()
        update = scale * unet(sample(moving, index + before), fixed)
        displacements.append(update + sample(before, index + update))
    return displacements


@torch.no_grad()
def set_slope_filters(unet: UNet) -> None:
    """Set the first convolution to compute slope plus and minus difference along each axis.

    Channels 2 k and 2 k + 1 belong to axis k; the remaining two are the images themselves. After
    the rectifier, the difference of the two channels is the difference of the images, signed by the
    slope, which is proportional to the displacement.
    """
    first = unet.downConvs[0]
    assert isinstance(first, nn.Conv3d)
    smooth, slope = torch.tensor([1.0, 2.0, 1.0]) / 4, torch.tensor([-1.0, 0.0, 1.0]) / 2
    blur = torch.einsum("i,j,k->ijk", smooth, smooth, smooth)
    first.weight.zero_()
    first.bias.zero_()  # type: ignore[union-attr]
    for axis in range(3):
        taps = [slope if k == axis else smooth for k in range(3)]
        along = torch.einsum("i,j,k->ijk", *taps) / 2
        for channel, sign in ((2 * axis, 1.0), (2 * axis + 1, -1.0)):
            first.weight[channel, 0] = GAIN * (along - sign * blur)
            first.weight[channel, 1] = GAIN * (along + sign * blur)
