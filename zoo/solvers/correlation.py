"""Dense correlation: the cost of every candidate displacement at every cell of a coarse grid."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.solvers.cells import box_mean

HALO = 2  # reach of the smoothing of the costs, in cells
_SMALLEST = 8  # side in cells from which a block is not split, even if it exceeds the memory


def candidates(reach: int, device: torch.device | str = "cpu") -> Tensor:
    """Return all displacements of up to `reach` cells per axis: [K, 3], row-major order."""
    steps = torch.arange(-reach, reach + 1, device=device, dtype=torch.float32)
    return torch.cartesian_prod(steps, steps, steps)


class CostWeights(NamedTuple):
    """Weights, from 0 to 1, of the cells of two images whose features are compared.

    `fixed` is [1, 1, x, y, z] and `moving` [1, 1, x, y, z], padded like the features of its image.
    `outside` is the cost of a candidate that leads to a cell of the moving image with weight 0. It
    should be a typical cost, so that such cells neither attract nor repel.
    """

    fixed: Tensor
    moving: Tensor
    outside: float


def correlate(
    fixed: Tensor, moving: Tensor, reach: int, weights: CostWeights | None = None
) -> Tensor:
    """Return the cost [P, K] (float16) of the K `candidates` at the P cells of the fixed grid.

    The cost is the sum over the channels of the squared difference, averaged twice over 3^3 cells.
    `fixed` is [1, C, x, y, z]. `moving` is [1, C, x + 2 reach, ..], with `reach` more cells on
    every side (see `pad_with_zeros`). With `weights`, cells outside a mask do not influence the
    choice among the candidates.
    """
    shape = fixed.shape[2:]
    width = 2 * reach + 1
    cost = torch.empty(shape.numel(), width**3, dtype=torch.float16, device=fixed.device)
    for dx in range(width):
        slab = moving[0, :, dx : dx + shape[0]]
        plane = torch.empty(width**2, *shape, device=fixed.device)
        for dy in range(width):
            for dz in range(width):
                window = slab[:, :, dy : dy + shape[1], dz : dz + shape[2]]
                torch.sum((fixed[0] - window).square_(), 0, out=plane[dy * width + dz])
                if weights is not None:
                    share = weights.moving[0, 0, dx : dx + shape[0]]
                    share = share[:, dy : dy + shape[1], dz : dz + shape[2]]
                    cost_here = plane[dy * width + dz]
                    cost_here.sub_(weights.outside).mul_(share).add_(weights.outside)
                    cost_here.mul_(weights.fixed[0, 0])
        plane = box_mean(box_mean(plane, 1), 1)
        cost[:, dx * width**2 : (dx + 1) * width**2] = plane.flatten(1).T
    return cost


def pad_with_zeros(moving: Tensor, reach: int) -> Tensor:
    """Add `reach` cells of zeros on every side of [1, C, x, y, z]."""
    return F.pad(moving, [reach] * 6)


Block = tuple[slice, slice, slice]


def split_into_blocks(
    shape: torch.Size, halo: int, cells: int
) -> Iterator[tuple[Block, Block, Block]]:
    """Split a grid into blocks of at most `cells` cells, including their halo.

    Blocks of 8 cells per side are not split further. Yields three triples of slices: the block in
    the grid, the block with its halo in the grid (cropped at the border), and the block inside the
    block with its halo.
    """
    pieces = [1, 1, 1]
    while True:
        sizes = [-(-n // p) for n, p in zip(shape, pieces, strict=True)]
        wide = [min(n, size + 2 * halo) for n, size in zip(shape, sizes, strict=True)]
        if wide[0] * wide[1] * wide[2] <= cells or max(sizes) <= _SMALLEST:
            break
        longest = max(range(3), key=lambda k: sizes[k])
        pieces[longest] += 1
    for x in range(0, shape[0], sizes[0]):
        for y in range(0, shape[1], sizes[1]):
            for z in range(0, shape[2], sizes[2]):
                start = (x, y, z)
                core, outer, inner = [], [], []
                for k in range(3):
                    stop = min(start[k] + sizes[k], shape[k])
                    low = max(start[k] - halo, 0)
                    core.append(slice(start[k], stop))
                    outer.append(slice(low, min(stop + halo, shape[k])))
                    inner.append(slice(start[k] - low, stop - low))
                yield tuple(core), tuple(outer), tuple(inner)  # type: ignore[misc]
