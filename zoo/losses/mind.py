"""MIND-SSC as part of a loss: a differentiable descriptor of local self-similarity.

The solver has its own implementation, `zoo.solvers.mind.mind_features`, which works in place in
slabs and has a noise floor; it saves time and memory but has no gradient.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.losses.filters import box_taps, separable_filter

_NEIGHBOURS = ((0, 0, -1), (0, 0, 1), (0, -1, 0), (0, 1, 0), (-1, 0, 0), (1, 0, 0))
# The 12 pairs of face neighbours whose squared distance from each other is 2.
PAIRS = tuple(
    (first, second)
    for first, second in itertools.combinations(_NEIGHBOURS, 2)
    if sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) == 2
)


def mind_descriptor(image: Tensor, radius: int = 2, dilation: int = 2) -> Tensor:
    """Return the descriptor [B, 12, X, Y, Z], in (0, 1], of `image` [B, 1, X, Y, Z].

    Channel c compares the patches of 2 radius + 1 voxels per side around two of the six neighbours
    at a distance of `dilation` voxels: exp(-(distance - smallest distance) / mean distance). The
    mean distance is clamped to 1/1000 and 1000 times its average over the image, separately for
    each image of a batch. Beyond the border the outermost voxel is repeated.
    """
    padded = F.pad(image, [dilation] * 6, mode="replicate")

    def shifted(neighbour: tuple[int, int, int]) -> Tensor:
        view = padded
        for axis, (step, n) in enumerate(zip(neighbour, image.shape[2:], strict=True), start=2):
            view = view.narrow(axis, (step + 1) * dilation, n)
        return view

    squared = torch.cat([(shifted(a) - shifted(b)) ** 2 for a, b in PAIRS], dim=1)
    distance = separable_filter(squared, [box_taps(2 * radius + 1, mean=True)] * 3, "replicate")
    distance = distance - distance.min(dim=1, keepdim=True).values
    spread = distance.mean(dim=1, keepdim=True)
    # The lower bound turns the 0 / 0 of a constant image into a descriptor of ones.
    average = spread.detach().mean(dim=(1, 2, 3, 4), keepdim=True).clamp_min(1e-12)
    return torch.exp(-distance / torch.clamp(spread, 1e-3 * average, 1e3 * average))
