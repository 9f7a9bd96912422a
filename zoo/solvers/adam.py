"""Refinement of a displacement field by Adam, with the gradient written out by hand.

Siebert et al., "Fast 3D registration with accurate optimisation and little learning for Learn2Reg
2021". The field is the threefold average over 3^3 cells (about a cubic B-spline) of free weights;
the loss is the squared difference of the features plus a diffusion regulariser.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from zoo.geometry.sampling import Outside, identity_index, sample, sample_gradient
from zoo.solvers.mind import box

_LOOK = 10  # iterations between two looks at the loss


def refine(
    fixed: Tensor,
    moving: Tensor,
    field: Tensor,
    *,
    iterations: int,
    regularity: float,
    rate: float = 1.0,
    tolerance: float = 0.0,
    outside: Outside = "border",
    stretch: Tensor | float = 1.0,
    report: Callable[[float], None] = lambda done: None,
) -> Tensor:
    """Improve `field` [1, 3, x, y, z] between the features `fixed` and `moving` [1, C, x, y, z].

    Displacements are in cells of the features' grid, pull-back. It stops early once the loss falls
    by less than the share `tolerance` in ten iterations. `stretch` multiplies a displacement where
    it is followed, as ConvexAdam does by mistake. `report` is told the share that is done.
    """
    identity = identity_index(field.shape[2:], device=field.device)
    weights = field.clone()
    optimizer = torch.optim.Adam([weights], lr=rate)
    last = float("inf")
    smooth = field
    for iteration in range(iterations):
        smooth = spline(weights)
        index = identity + smooth * stretch
        residual = sample(moving, index, outside=outside).sub_(fixed)
        if tolerance and iteration % _LOOK == 0:
            loss = float(residual.square().sum()) / field[0, 0].numel()
            loss += regularity * roughness(smooth)
            if last - loss < tolerance * abs(loss):
                break
            last = loss
        pull = sample_gradient(moving, index, residual, outside=outside) * stretch
        gradient = pull * (2 / field[0, 0].numel()) + regularity * roughness_gradient(smooth)
        weights.grad = spline(gradient)
        optimizer.step()
        report((iteration + 1) / iterations)
    return smooth


def spline(weights: Tensor) -> Tensor:
    """Average [1, 3, x, y, z] three times over 3^3 cells, zeros beyond: its own adjoint."""
    for _ in range(3):
        weights = box(weights, 1)
    return weights


def roughness(field: Tensor) -> float:
    """Return the sum over the axes of the mean squared difference of neighbours."""
    return sum(
        float(field.diff(dim=axis).square().mean()) for axis in (2, 3, 4) if field.shape[axis] > 1
    )


def roughness_gradient(field: Tensor) -> Tensor:
    """Return the gradient of `roughness` by `field`, like it: minus a scaled Laplacian."""
    gradient = torch.zeros_like(field)
    for axis in (2, 3, 4):
        n = field.shape[axis]
        if n > 1:
            step = field.diff(dim=axis)
            step *= 2 / step.numel()
            gradient.narrow(axis, 1, n - 1).add_(step)
            gradient.narrow(axis, 0, n - 1).sub_(step)
    return gradient
