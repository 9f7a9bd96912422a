"""Coupled convex optimisation of a discrete displacement field, and inverse consistency.

Heinrich et al., "Non-parametric discrete registration with convex optimisation", WBIR 2014. Cells
of a coarse grid are the unit of every displacement here; component k along array axis k.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.geometry.sampling import Outside, identity_index, sample
from zoo.solvers.correlation import HALO, Block, blocks, candidates, correlate, surround
from zoo.solvers.mind import box

COUPLING = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
TIE = 1e-6  # where nothing distinguishes the candidates the shortest is chosen, not the first
_BLOCK = 1 << 19  # costs that are worked on at once, so that their float32 copy stays in the cache


def coupled_convex(
    cost: Tensor,
    shape: Sequence[int],
    reach: int,
    *,
    coupling: Sequence[float] = COUPLING,
    average: bool = True,
    tie: float = TIE,
) -> Tensor:
    """Trade the cost [P, K] of each cell against smoothness -> displacement [1, 3, x, y, z].

    In turns, each cell takes the candidate that is cheap and near the smooth field u, and u becomes
    the average of the choices over 3^3 cells, while the coupling grows. `average` returns the mean
    of the successive u (the weight balancing of MCBO), otherwise the last one (ConvexAdam). `tie`
    is the coupling to no displacement at all of the very first choice.
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
    """Return box3 of argmin over d of cost(d) + weight |d - u|^2, the constant |u|^2 left out."""
    choice = torch.empty(len(cost), dtype=torch.long, device=cost.device)
    length = weight * options.square().sum(1)
    wanted = smooth[0].flatten(1).T
    rows = max(1, _BLOCK // cost.shape[1])
    for start in range(0, len(cost), rows):
        part = slice(start, start + rows)
        total = torch.addmm(length, wanted[part], options.T, alpha=-2 * weight).add_(cost[part])
        torch.argmin(total, 1, out=choice[part])
    return box(options[choice].T.reshape(smooth.shape), 1)


def search(
    fixed: Tensor,
    moving: Tensor,
    reach: int,
    *,
    coupling: Sequence[float] = COUPLING,
    average: bool = True,
    tie: float = TIE,
    memory: int = 1 << 30,
) -> Tensor:
    """Find the displacement [1, 3, x, y, z] in cells that brings `moving` to `fixed`.

    Both are features [1, C, x, y, z] of one grid. A grid whose costs would need more than `memory`
    bytes is worked in blocks with a halo as wide as the steps reach: the field is the same.
    """
    shape = fixed.shape[2:]
    field = torch.empty(1, 3, *shape, device=fixed.device)
    halo = HALO + 1 + len(coupling)
    around = surround(moving, reach)
    width = 2 * reach + 1
    cells = memory // (2 * width**3 + 3 * 4 * width**2)  # the costs, three planes in float32
    for core, outer, inner in blocks(shape, halo, cells):
        x, y, z = (slice(s.start, s.stop + 2 * reach) for s in outer)
        part = _cut(fixed, outer)
        cost = correlate(part, _cut(around, (x, y, z)), reach)
        found = coupled_convex(
            cost, part.shape[2:], reach, coupling=coupling, average=average, tie=tie
        )
        _cut(field, core).copy_(_cut(found, inner))
    return field


def _cut(volume: Tensor, block: Block) -> Tensor:
    x, y, z = block
    return volume[:, :, x, y, z]


def make_consistent(
    forward: Tensor,
    backward: Tensor,
    iterations: int = 15,
    *,
    outside: Outside = "border",
    stretch: Tensor | float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Draw a field and its reverse [1, 3, x, y, z] (cells) together until they undo each other.

    `stretch` multiplies a displacement where it is followed, as ConvexAdam does by mistake.
    """
    identity = identity_index(forward.shape[2:], device=forward.device)
    for _ in range(iterations):
        there = sample(backward, identity + forward * stretch, outside=outside)
        back = sample(forward, identity + backward * stretch, outside=outside)
        forward, backward = (forward - there) / 2, (backward - back) / 2
    return forward, backward
