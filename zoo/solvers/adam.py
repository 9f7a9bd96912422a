"""Refinement of a displacement field by Adam, with an analytic gradient.

Siebert et al., "Fast 3D registration with accurate optimisation and little learning for Learn2Reg
2021". The field is obtained from free weights by averaging over 3^3 cells, once or several times;
three times is close to a cubic B-spline. The loss is the squared difference of the features plus a
regulariser: diffusion as in ConvexAdam, bending (which does not penalise affine motion), or both.
"""

from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor

from zoo.geometry.sampling import Outside, identity_index
from zoo.solvers.cells import box_mean
from zoo.solvers.features import compare_features


def refine_by_adam(
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
    sampling_scale: Tensor | float = 1.0,
    weights: tuple[Tensor, Tensor] | None = None,
    report: Callable[[float], None] = lambda done: None,
) -> Tensor:
    """Refine `field` [1, 3, x, y, z] between the features of a fixed and one or more moving images.

    Displacements are in cells of the field, pull-back, as is the step `rate`, which falls
    geometrically to `last_rate`. The features are [1, C, detail x, detail y, detail z]: each cell
    of the field has `detail` of their cells (subcells) per side. Each iteration compares one
    subcell of every cell and one of the `shares` of the channels, in turn.

    The field is the average of its free weights over 3^3 cells, applied `smoothing` times.
    `sampling_scale` multiplies displacements in the sampling step, which reproduces an error of the
    published ConvexAdam. `weights` [1, 1, detail x, detail y, detail z] are those of the subcells
    of the fixed and of the moving images, from 0 (ignored) to 1. `report` is called with the
    fraction done.
    """
    identity = identity_index(field.shape[2:], device=field.device) * detail
    subcells = _subcells(detail)
    free = field.clone()
    mean, square = torch.zeros_like(field), torch.zeros_like(field)
    smooth = field
    for iteration in range(iterations):
        smooth = box_spline(free, smoothing)
        subcell = subcells[iteration % len(subcells)]
        offset = torch.tensor(subcell, device=field.device).view(1, 3, 1, 1, 1)
        displacement = to_subcell(smooth, subcell, detail) * (sampling_scale * detail)
        index = identity + offset + displacement
        x, y, z = (slice(start, None, detail) for start in subcell)
        share = slice((iteration + iteration // len(subcells)) % shares, None, shares)
        data_gradient = torch.zeros_like(field)
        for image in moving:
            data_gradient += compare_features(
                fixed[:, share, x, y, z],
                image[:, share],
                index,
                outside,
                None if weights is None else (weights[0][:, :, x, y, z], weights[1]),
            )[0]
        scale = sampling_scale * detail * shares / len(moving)
        data_gradient = from_subcell(data_gradient * scale, subcell, detail)
        roughness = roughness_gradient(smooth)
        regulariser_gradient = diffusion * roughness
        if bending:
            regulariser_gradient += bending * (field.numel() / 2) * roughness_gradient(roughness)
        gradient = box_spline(data_gradient.add_(regulariser_gradient), smoothing)
        length = rate * (last_rate / rate) ** (iteration / iterations)
        adam_step(free, gradient, mean, square, iteration + 1, length)
        report((iteration + 1) / iterations)
    return smooth


def adam_step(
    weights: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, count: int, rate: float
) -> None:
    """Take step number `count` of Adam in place; `mean` and `square` are its running averages.

    The step is written out because the first step of torch's optimiser imports torch's compiler,
    which takes a second and 77 MiB.
    """
    mean.lerp_(gradient, 0.1)
    square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
    size = square.sqrt().div_((1 - 0.999**count) ** 0.5).add_(1e-8)
    weights.addcdiv_(mean, size, value=-rate / (1 - 0.9**count))


def box_spline(weights: Tensor, times: int = 3) -> Tensor:
    """Average [1, 3, x, y, z] `times` times over 3^3 cells, with zeros outside; self-adjoint."""
    for _ in range(times):
        weights = box_mean(weights, 1)
    return weights


def to_subcell(field: Tensor, subcell: Sequence[int], detail: int) -> Tensor:
    """Interpolate `field` [1, 3, x, y, z] at one and the same subcell of every cell."""
    for axis, part in enumerate(subcell, 2):
        near, far, share = _neighbours(field.shape[axis], part, detail)
        if share:
            moved = field * (1 - share)
            moved.narrow(axis, *near).add_(field.narrow(axis, *far), alpha=share)
            _edge(moved, axis, part, detail).add_(_edge(field, axis, part, detail), alpha=share)
            field = moved
    return field


def from_subcell(gradient: Tensor, subcell: Sequence[int], detail: int) -> Tensor:
    """Apply the adjoint of `to_subcell`."""
    for axis, part in enumerate(subcell, 2):
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
    """Return the cells with a neighbour on the side of a subcell, the neighbours and their weight.

    Cells and neighbours are given as start and length along the axis.
    """
    offset = (part + 0.5) / detail - 0.5
    low, high = (0, cells - 1), (1, cells - 1)
    return (low, high, offset) if offset > 0 else (high, low, -offset)


def _edge(volume: Tensor, axis: int, part: int, detail: int) -> Tensor:
    """Return the cells without a neighbour on the subcell's side, where the border is repeated."""
    return volume.narrow(axis, volume.shape[axis] - 1 if 2 * part + 1 > detail else 0, 1)


def _subcells(detail: int) -> list[tuple[int, ...]]:
    """Return the subcells of a cell in an order in which opposite ones follow each other."""
    parts = list(product(range(detail), repeat=3))
    pairs = zip(parts, reversed(parts), strict=True)
    return [part for pair in pairs for part in pair][: len(parts)]


def roughness_gradient(field: Tensor) -> Tensor:
    """Return the gradient of the diffusion energy of `field` [1, 3, x, y, z]; it is linear in it.

    The energy is the sum over the axes of the mean squared difference of neighbours, which is half
    the product of the field and this gradient. Applied twice, the function returns the gradient of
    the bending energy, up to a factor.
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
