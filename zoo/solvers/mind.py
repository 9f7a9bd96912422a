"""MIND-SSC features for the solver: local self-similarities that do not depend on the contrast.

Heinrich et al., "Towards realtime multimodal fusion for image-guided interventions using
self-similarities", MICCAI 2013.

`zoo.losses.mind_descriptor` is the differentiable version for losses. This one works in place and
in slabs and has a noise floor; it saves time and memory but has no gradient.
"""

import math
from itertools import combinations

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.solvers.cells import box_mean

CHANNELS = 12
_NEIGHBOURS = [(-1, 0, 0), (0, -1, 0), (0, 0, -1), (0, 0, 1), (0, 1, 0), (1, 0, 0)]
# The pairs of neighbours whose squared distance is 2, the edges of the octahedron around a voxel.
_EDGES = [(a, b) for a, b in combinations(_NEIGHBOURS, 2) if math.dist(a, b) < 2]
_MOST_NOISE = 0.15  # limit of the noise floor, as a fraction of the mean variance
_SLAB = 1 << 18  # voxels that are processed at once, so that they stay in the cache


def mind_features(image: Tensor, radius: int = 1, dilation: int = 2, noise: float = 0.0) -> Tensor:
    """Return the 12 self-similarities [B, 12, X, Y, Z] in (0, 1] of `image` [B, 1, X, Y, Z].

    Each channel compares two patches of `2 * radius + 1` voxels per side whose centres are
    `dilation` voxels away from the voxel, in two directions at a right angle. Every channel is 1
    where the image has no structure. Differences below `noise` times the estimated noise of the
    image do not count as structure either; 0 is the published version.

    The channels of a voxel are adjacent in memory, so that interpolation reads them together. The
    image is processed in slabs; the peak memory is that of the result and a few volumes.
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
        typical = variance.mean().clamp_min(1e-34)  # its reciprocal is still finite
        least = typical * 1e-3
        if noise:
            least = (noise * _noise_level(variance)).clamp(least, typical * _MOST_NOISE)
        factor = variance.clamp_(least, typical * 1e3).reciprocal_().neg_()
        for start in slabs:
            rows = slice(start, start + slabs.step)
            channels[:, rows].mul_(factor[rows]).exp_()
    return features


def _noise_level(variance: Tensor) -> Tensor:
    """Return the first decile of the positive variances, from a sample of the voxels."""
    sampled = variance.flatten()[:: max(1, variance.numel() // _SLAB)]
    sampled = sampled[sampled > 0]
    if not len(sampled):
        return variance.new_zeros(())
    return sampled.kthvalue(max(1, len(sampled) // 10)).values


def _distances(padded: Tensor, start: int, stop: int, radius: int, dilation: int) -> Tensor:
    """Return the mean squared differences of the patches in a slab of the image: [12, x, Y, Z].

    `padded` [X + 2 d, Y + 2 d, Z + 2 d] is the image with `dilation` more voxels on every side.
    """
    low = max(start - radius, 0)
    high = min(stop + radius, padded.shape[0] - 2 * dilation)

    def shifted(neighbour: tuple[int, int, int]) -> Tensor:
        view = padded[low : high + 2 * dilation]
        for axis, step in enumerate(neighbour):
            view = view.narrow(axis, dilation * (1 + step), view.shape[axis] - 2 * dilation)
        return view

    rows = slice(start - low, stop - low)
    distances = [
        box_mean((shifted(a) - shifted(b)).square_(), radius, edge="replicate")[rows]
        for a, b in _EDGES
    ]
    return torch.stack(distances)
