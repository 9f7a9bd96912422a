"""MIND-SSC: what an image looks like around each voxel, the same whatever the contrast.

Heinrich et al., "Towards realtime multimodal fusion for image-guided interventions using
self-similarities", MICCAI 2013.
"""

import math
from itertools import combinations
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

CHANNELS = 12
_NEIGHBOURS = [(-1, 0, 0), (0, -1, 0), (0, 0, -1), (0, 0, 1), (0, 1, 0), (1, 0, 0)]
# The pairs of neighbours at squared distance 2: every edge of the octahedron around a voxel.
_EDGES = [(a, b) for a, b in combinations(_NEIGHBOURS, 2) if math.dist(a, b) < 2]


def mind_ssc(image: Tensor, radius: int = 1, dilation: int = 2) -> Tensor:
    """Return the 12 self-similarities [B, 12, X, Y, Z] in (0, 1] of `image` [B, 1, X, Y, Z].

    Each channel compares two patches of `2 * radius + 1` voxels a side whose centres are
    `dilation` voxels away from the voxel, in two directions at a right angle. Where the image has
    no structure at all every channel is 1. One channel is worked at a time, so the memory is that
    of the result and a few volumes.
    """
    shape = image.shape[2:]
    padded = F.pad(image.float(), [dilation] * 6, mode="replicate")[:, 0]
    features = torch.empty(len(image), CHANNELS, *shape, device=image.device)
    for channel, (a, b) in enumerate(_EDGES):
        difference = _shifted(padded, a, dilation, shape) - _shifted(padded, b, dilation, shape)
        features[:, channel] = box(difference.square_(), radius, edge="replicate")
    features -= features.amin(1, keepdim=True)
    variance = features.mean(1, keepdim=True)
    typical = variance.mean((2, 3, 4), keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
    variance = torch.minimum(torch.maximum(variance, typical * 1e-3), typical * 1e3)
    return features.div_(variance).neg_().exp_()


def box(volume: Tensor, radius: int, edge: Literal["zeros", "replicate"] = "zeros") -> Tensor:
    """Average [..., X, Y, Z] over cubes of `2 * radius + 1` voxels, one axis after another.

    Beyond the border lie zeros, which makes the filter its own adjoint, or the edge's values.
    """
    for axis in (-3, -2, -1):
        n = volume.shape[axis]
        total = volume.clone()
        for shift in range(1, radius + 1):
            k = min(shift, n)
            total.narrow(axis, k, n - k).add_(volume.narrow(axis, 0, n - k))
            total.narrow(axis, 0, n - k).add_(volume.narrow(axis, k, n - k))
            if edge == "replicate":
                total.narrow(axis, 0, k).add_(volume.narrow(axis, 0, 1))
                total.narrow(axis, n - k, k).add_(volume.narrow(axis, n - 1, 1))
        volume = total
    return volume.mul_((2 * radius + 1) ** -3)


def _shifted(
    padded: Tensor, direction: tuple[int, int, int], dilation: int, shape: torch.Size
) -> Tensor:
    """View `padded` [B, X + 2 d, ..] as the volume of `shape`, read `dilation` voxels away."""
    for k in range(3):
        padded = padded.narrow(k + 1, dilation * (1 + direction[k]), shape[k])
    return padded
