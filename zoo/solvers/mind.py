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
_MOST_NOISE = 0.15  # of the mean variance: an image of structure alone has no quiet tenth
_SLAB = 1 << 18  # voxels that are worked at once, so that they stay in the cache


def mind_ssc(image: Tensor, radius: int = 1, dilation: int = 2, noise: float = 0.0) -> Tensor:
    """Return the 12 self-similarities [B, 12, X, Y, Z] in (0, 1] of `image` [B, 1, X, Y, Z].

    Each channel compares two patches of `2 * radius + 1` voxels a side whose centres are
    `dilation` voxels away from the voxel, in two directions at a right angle. Where the image has
    no structure at all every channel is 1. What differs by less than `noise` times the noise of the
    image counts as no structure either; 0 is the published floor.

    The channels of a voxel lie side by side in memory, so that reading between voxels finds them
    together. Worked slab by slab: the memory is that of the result and a few volumes.
    """
    shape = image.shape[2:]
    features = torch.empty(
        (len(image), CHANNELS, *shape), device=image.device, memory_format=torch.channels_last_3d
    )
    for volume, channels in zip(image, features, strict=True):
        padded = F.pad(volume[None].float(), [dilation] * 6, mode="replicate")[0, 0]
        variance = torch.empty(shape, device=image.device)
        slabs = range(0, shape[0], max(1, _SLAB // shape[1:].numel()))
        for start in slabs:
            stop = min(start + slabs.step, shape[0])
            distances = _distances(padded, start, stop, radius, dilation)
            distances -= distances.amin(0)
            variance[start:stop] = distances.mean(0)
            channels[:, start:stop] = distances
        typical = variance.mean().clamp_min(1e-34)  # its reciprocal is still a number
        least = typical * 1e-3
        if noise:
            least = (noise * _noise_level(variance)).clamp(least, typical * _MOST_NOISE)
        factor = variance.clamp_(least, typical * 1e3).reciprocal_().neg_()
        for start in slabs:
            rows = slice(start, start + slabs.step)
            channels[:, rows].mul_(factor[rows]).exp_()
    return features


def _noise_level(variance: Tensor) -> Tensor:
    """Return what the quietest tenth of the voxels stay below, of those that differ at all."""
    some = variance.flatten()[:: max(1, variance.numel() // _SLAB)]
    some = some[some > 0]
    return some.kthvalue(max(1, len(some) // 10)).values if len(some) else variance.new_zeros(())


def _distances(padded: Tensor, start: int, stop: int, radius: int, dilation: int) -> Tensor:
    """Return the mean squared differences of the patches, on rows of the image: [12, x, Y, Z].

    `padded` [X + 2 d, Y + 2 d, Z + 2 d] goes `dilation` voxels further on every side.
    """
    low = max(start - radius, 0)
    high = min(stop + radius, padded.shape[0] - 2 * dilation)

    def seen_from(neighbour: tuple[int, int, int]) -> Tensor:
        view = padded[low : high + 2 * dilation]
        for axis, step in enumerate(neighbour):
            view = view.narrow(axis, dilation * (1 + step), view.shape[axis] - 2 * dilation)
        return view

    found = [
        box((seen_from(a) - seen_from(b)).square_(), radius, edge="replicate")[
            start - low : stop - low
        ]
        for a, b in _EDGES
    ]
    return torch.stack(found)


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
