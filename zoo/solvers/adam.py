"""Refinement of a displacement field by Adam, with the gradient written out by hand.

Siebert et al., "Fast 3D registration with accurate optimisation and little learning for Learn2Reg
2021". The field is the average over 3^3 cells, once or several times, of free weights (threefold is
about a cubic B-spline); the loss is the squared difference of the features plus a regulariser:
diffusion as in ConvexAdam, bending (which leaves affine motion alone), or both.
"""

from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor

from zoo.geometry.sampling import Outside, identity_index, sample, sample_gradient
from zoo.solvers.mind import box

_SLAB = 1 << 15  # cells whose features are compared at once on a CPU: they stay in the cache


def refine(
    fixed: Tensor,
    moving: Sequence[Tensor],
    field: Tensor,
    *,
    iterations: int,
    detail: int = 1,
    shares: int = 1,
    diffusion: float = 0.0,
    bending: float = 0.0,
    smoothing: int = 3,
    rate: float = 1.0,
    last_rate: float = 1.0,
    outside: Outside = "border",
    stretch: Tensor | float = 1.0,
    report: Callable[[float], None] = lambda done: None,
) -> Tensor:
    """Improve `field` [1, 3, x, y, z] between the features `fixed` and those of one or more images.

    Displacements and the step `rate`, which falls geometrically to `last_rate`, are in cells of the
    field, pull-back. The features are [1, C, detail x, detail y, detail z]: each cell of the field
    has `detail` of theirs an edge, and each iteration looks at one of these in every cell, and at
    one of the `shares` of the channels, in turn.
    `stretch` multiplies a displacement where it is followed, as ConvexAdam does by mistake.
    The field is the average of its free weights over 3^3 cells, `smoothing` times. `report` is told
    the share that is done.
    """
    identity = identity_index(field.shape[2:], device=field.device) * detail
    corners = _corners(detail)
    weights = field.clone()
    mean, square = torch.zeros_like(field), torch.zeros_like(field)
    smooth = field
    for iteration in range(iterations):
        smooth = spline(weights, smoothing)
        corner = corners[iteration % len(corners)]
        offset = torch.tensor(corner, device=field.device).view(1, 3, 1, 1, 1)
        index = identity + offset + to_corner(smooth, corner, detail) * (stretch * detail)
        x, y, z = (slice(start, None, detail) for start in corner)
        share = slice((iteration + iteration // len(corners)) % shares, None, shares)
        pull = torch.zeros_like(field)
        for image in moving:
            pull += compare(fixed[:, share, x, y, z], image[:, share], index, outside)[0]
        pull = from_corner(pull * (stretch * detail * shares / len(moving)), corner, detail)
        rough = roughness_gradient(smooth)
        stiff = diffusion * rough
        if bending:
            stiff += bending * (field.numel() / 2) * roughness_gradient(rough)
        slope = spline(pull.add_(stiff), smoothing)
        length = rate * (last_rate / rate) ** (iteration / iterations)
        adam_step(weights, slope, mean, square, iteration + 1, length)
        report((iteration + 1) / iterations)
    return smooth


def adam_step(
    weights: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, count: int, rate: float
) -> None:
    """Take step number `count` of Adam in place; `mean` and `square` remember the gradients.

    By hand: torch's optimiser brings torch's compiler with it, a second and 77 MiB at its first
    step.
    """
    mean.lerp_(gradient, 0.1)
    square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
    size = (square / (1 - 0.999**count)).sqrt_().add_(1e-8)
    weights.addcdiv_(mean, size, value=-rate / (1 - 0.9**count))


def compare(
    fixed: Tensor, moving: Tensor, index: Tensor, outside: Outside = "border"
) -> tuple[Tensor, Tensor]:
    """Return the gradient by `index` [1, 3, x, y, z] of the mean squared difference, and the mean.

    The mean over the cells of the sum over the channels. Slab by slab: no volume of features is
    ever made.
    """
    cells = index[0, 0].numel()
    on_cpu = index.device.type == "cpu"
    rows = max(1, _SLAB // index[0, 0, 0].numel()) if on_cpu else index.shape[2]
    gradient = torch.empty_like(index)
    total = torch.zeros((), device=index.device)
    for start in range(0, index.shape[2], rows):
        part = index[:, :, start : start + rows]
        residual = sample(moving, part, outside=outside).sub_(fixed[:, :, start : start + rows])
        slope = sample_gradient(moving, part, residual, outside=outside)
        gradient[:, :, start : start + rows] = slope.mul_(2 / cells)
        total += residual.square_().sum()
    return gradient, total / cells


def spline(weights: Tensor, times: int = 3) -> Tensor:
    """Average [1, 3, x, y, z] `times` times over 3^3 cells, zeros beyond: its own adjoint."""
    for _ in range(times):
        weights = box(weights, 1)
    return weights


def to_corner(field: Tensor, corner: Sequence[int], detail: int) -> Tensor:
    """Interpolate `field` [1, 3, x, y, z] at the same one of the `detail`^3 parts of every cell."""
    for axis, part in enumerate(corner, 2):
        near, far, share = _neighbours(field.shape[axis], part, detail)
        if share:
            moved = field * (1 - share)
            moved.narrow(axis, *near).add_(field.narrow(axis, *far), alpha=share)
            _edge(moved, axis, part, detail).add_(_edge(field, axis, part, detail), alpha=share)
            field = moved
    return field


def from_corner(gradient: Tensor, corner: Sequence[int], detail: int) -> Tensor:
    """Apply the adjoint of `to_corner`."""
    for axis, part in enumerate(corner, 2):
        near, far, share = _neighbours(gradient.shape[axis], part, detail)
        if share:
            moved = gradient * (1 - share)
            moved.narrow(axis, *far).add_(gradient.narrow(axis, *near), alpha=share)
            _edge(moved, axis, part, detail).add_(_edge(gradient, axis, part, detail), alpha=share)
            gradient = moved
    return gradient


def _neighbours(
    cells: int, part: int, detail: int
) -> tuple[tuple[int, int], tuple[int, int], float]:
    """Return the cells that have a neighbour on the part's side, those neighbours, its weight.

    Both as start and length along the axis.
    """
    away = (part + 0.5) / detail - 0.5
    low, high = (0, cells - 1), (1, cells - 1)
    return (low, high, away) if away > 0 else (high, low, -away)


def _edge(volume: Tensor, axis: int, part: int, detail: int) -> Tensor:
    """Return the cells that have none: the edge is repeated."""
    return volume.narrow(axis, volume.shape[axis] - 1 if 2 * part + 1 > detail else 0, 1)


def _corners(detail: int) -> list[tuple[int, ...]]:
    """List the parts of a cell so that opposite ones follow each other."""
    parts = list(product(range(detail), repeat=3))
    pairs = zip(parts, reversed(parts), strict=True)
    return [part for pair in pairs for part in pair][: len(parts)]


def roughness_gradient(field: Tensor) -> Tensor:
    """Return the gradient by `field` [1, 3, x, y, z] of its diffusion energy, which is linear.

    The energy is the sum over the axes of the mean squared difference of neighbours. Half of the
    product of field and gradient is the energy; its gradient again is that of the bending energy.
    """
    gradient = torch.zeros_like(field)
    for axis in (2, 3, 4):
        n = field.shape[axis]
        if n > 1:
            step = field.diff(dim=axis)
            step *= 2 / step.numel()
            gradient.narrow(axis, 1, n - 1).add_(step)
            gradient.narrow(axis, 0, n - 1).sub_(step)
    return gradient
