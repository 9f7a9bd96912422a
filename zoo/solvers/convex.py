"""Coupled convex optimisation of a discrete displacement field, and inverse consistency.

Heinrich et al., "Non-parametric discrete registration with convex optimisation", WBIR 2014. All
displacements are in cells of a coarse grid, component k along array axis k.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.geometry.sampling import Outside, identity_index, sample
from zoo.solvers.cells import box_mean
from zoo.solvers.correlation import (
    HALO,
    Block,
    CostWeights,
    candidates,
    correlate,
    pad_with_zeros,
    split_into_blocks,
)

COUPLING = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
TIE = 1e-6  # among candidates of equal cost the shortest is chosen, not the first
_BLOCK = 1 << 19  # costs that are processed at once, so that their float32 copy stays in the cache


def coupled_convex(
    cost: Tensor,
    shape: Sequence[int],
    reach: int,
    *,
    coupling: Sequence[float] = COUPLING,
    average: bool = True,
    tie: float = TIE,
) -> Tensor:
    """Return the displacement [1, 3, x, y, z] that balances the cost [P, K] and smoothness.

    Two steps alternate while the coupling grows: each cell takes the candidate with the lowest sum
    of its cost and its coupled distance from the smooth field u, and u becomes the average of the
    choices over 3^3 cells. With `average` the result is the mean of the successive u (the weight
    balancing of MCBO), otherwise the last one (ConvexAdam). `tie` is the coupling of the first
    choice to a displacement of zero.
    """
    options = candidates(reach, cost.device)
    smooth = torch.zeros(1, 3, *shape, device=cost.device)
    smooth = _smooth_choice(cost, options, smooth, tie)
    mean = torch.zeros_like(smooth)
    for weight in coupling:
        smooth = _smooth_choice(cost, options, smooth, weight)
        mean += smooth / len(coupling)
    return mean if average else smooth


def _smooth_choice(cost: Tensor, options: Tensor, smooth: Tensor, weight: float) -> Tensor:
    """Return the 3^3 mean of argmin over d of cost(d) + weight |d - u|^2, with u = `smooth`.

    The constant term |u|^2 is left out.
    """
    choice = torch.empty(len(cost), dtype=torch.long, device=cost.device)
    length = weight * options.square().sum(1)
    coupled = smooth[0].flatten(1).T
    rows = max(1, _BLOCK // cost.shape[1])
    for start in range(0, len(cost), rows):
        part = slice(start, start + rows)
        total = torch.addmm(length, coupled[part], options.T, alpha=-2 * weight).add_(cost[part])
        torch.argmin(total, 1, out=choice[part])
    return box_mean(options[choice].T.reshape(smooth.shape), 1)


def search_field(
    fixed: Tensor,
    moving: Tensor,
    reach: int,
    *,
    coupling: Sequence[float] = COUPLING,
    average: bool = True,
    tie: float = TIE,
    memory: int = 1 << 30,
    weights: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Return the displacement [1, 3, x, y, z], in cells, that aligns `moving` with `fixed`.

    Both are features [1, C, x, y, z] on one grid. `weights` [1, 1, x, y, z] are those of the cells
    of the fixed and of the moving image, from 0 (ignored) to 1. If their costs would need more than
    `memory` bytes, the grid is processed in blocks. Their halo is as wide as the reach of all
    steps, so the field is the same.
    """
    shape = fixed.shape[2:]
    field = torch.empty(1, 3, *shape, device=fixed.device)
    halo = HALO + 1 + len(coupling)
    padded = pad_with_zeros(moving, reach)
    cost_weights = None if weights is None else _cost_weights(fixed, moving, weights, reach)
    width = 2 * reach + 1
    cells = memory // (2 * width**3 + 3 * 4 * width**2)  # the costs, three planes in float32
    for core, outer, inner in split_into_blocks(shape, halo, cells):
        x, y, z = (slice(s.start, s.stop + 2 * reach) for s in outer)
        part = _cut(fixed, outer)
        part_weights = cost_weights and cost_weights._replace(
            fixed=_cut(cost_weights.fixed, outer), moving=_cut(cost_weights.moving, (x, y, z))
        )
        cost = correlate(part, _cut(padded, (x, y, z)), reach, part_weights)
        displacement = coupled_convex(
            cost, part.shape[2:], reach, coupling=coupling, average=average, tie=tie
        )
        _cut(field, core).copy_(_cut(displacement, inner))
    return field


def _cost_weights(
    fixed: Tensor, moving: Tensor, weights: tuple[Tensor, Tensor], reach: int
) -> CostWeights:
    """Return the weights of `correlate`; the typical cost is the mean without displacement."""
    both = weights[0] * weights[1]
    cost = (fixed - moving).square().sum(1, keepdim=True)
    typical = float((cost * both).sum() / both.sum().clamp_min(1e-6))
    return CostWeights(weights[0], F.pad(weights[1], [reach] * 6, value=1.0), typical)


def _cut(volume: Tensor, block: Block) -> Tensor:
    x, y, z = block
    return volume[:, :, x, y, z]


def make_consistent(
    forward: Tensor,
    backward: Tensor,
    iterations: int = 15,
    *,
    outside: Outside = "border",
    sampling_scale: Tensor | float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Return a field and its reverse [1, 3, x, y, z], in cells, made inverse to each other.

    `sampling_scale` multiplies displacements in the sampling step, which reproduces an error of the
    published ConvexAdam.
    """
    identity = identity_index(forward.shape[2:], device=forward.device)
    for _ in range(iterations):
        there = sample(backward, identity + forward * sampling_scale, outside=outside)
        back = sample(forward, identity + backward * sampling_scale, outside=outside)
        forward, backward = (forward - there) / 2, (backward - back) / 2
    return forward, backward
