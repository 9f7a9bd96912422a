"""Rigid or affine alignment of the frames of one series, which have one contrast, to a reference.

The intensities of a frame, up to a factor, are those of the moved reference. A Gauss-Newton search
finds the motion; because the update is applied on the side of the reference, the derivatives are
computed once for all frames (inverse compositional). Large residuals count less (Huber), so that
tissue that deforms or changes does not pull the rest along.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from zoo.geometry import Grid
from zoo.geometry.sampling import inside, sample_cubic, spline_coefficients
from zoo.losses.filters import gaussian_taps, separable_filter

MotionKind = Literal["rigid", "affine"]

SMOOTHING_MM = (6.0, 3.0, 1.5)
"""The standard deviation of the smoothing of both images, coarse to fine."""
POINTS = 30_000
"""The largest number of points at which the images are compared."""
ITERATIONS = 30
CONVERGED_MM = 1e-3
"""The search ends when a step moves no point of a sphere of `RADIUS_MM` further."""
RADIUS_MM = 50.0
HUBER = 1.345
"""In standard deviations of the residuals; 95 % efficient for normal residuals."""


@dataclass(frozen=True)
class Reference:
    """The reference at one level of smoothing: points (n, 3) RAS+ mm, values and derivatives.

    `derivatives` [n, 6 or 12] are those of the values by the parameters of a motion about `centre`.
    """

    sigma_mm: float
    points: Tensor
    values: Tensor
    derivatives: Tensor
    centre: Tensor


def prepare_reference(image: Tensor, grid: Grid, kind: MotionKind) -> list[Reference]:
    """Return the reference image [X, Y, Z] at all levels of smoothing, coarse to fine."""
    return [_level(image, grid, kind, sigma) for sigma in SMOOTHING_MM]


def align_frame(
    levels: list[Reference], frame: Tensor, grid: Grid, start: Tensor | None = None
) -> Tensor:
    """Return the map from the reference to a frame [X, Y, Z]: 4x4 float64, RAS+ mm.

    `start` is a first estimate, such as the map to the frame before.
    """
    matrix = torch.eye(4, dtype=torch.float64) if start is None else start.clone()
    for level in levels:
        coefficients = spline_coefficients(_smoothed(frame, grid, level.sigma_mm)[None, None])
        for _ in range(ITERATIONS):
            step = _step(level, coefficients, grid, matrix)
            matrix = matrix @ torch.linalg.inv(step)
            offsets = RADIUS_MM * torch.cat([torch.eye(3), -torch.eye(3)]).double()
            near = level.centre + offsets
            moved = near @ step[:3, :3].T + step[:3, 3] - near
            if float(moved.norm(dim=1).max()) < CONVERGED_MM:
                break
    return matrix


def motion_parameters(matrix: Tensor, centre: Tensor) -> Tensor:
    """Return the translation of `centre` (mm) and the rotations about x, y and z (degrees): (6,).

    The rotation is the orthogonal matrix nearest to the linear part of `matrix`, Rz Ry Rx, RAS.
    """
    u, _, vh = torch.linalg.svd(matrix[:3, :3])
    r = u @ vh
    y = torch.asin((-r[2, 0]).clamp(-1, 1))
    x, z = torch.atan2(r[2, 1], r[2, 2]), torch.atan2(r[1, 0], r[0, 0])
    shift = matrix[:3, :3] @ centre + matrix[:3, 3] - centre
    return torch.cat([shift, torch.rad2deg(torch.stack([x, y, z]))])


def framewise_displacement(parameters: Tensor, radius_mm: float = RADIUS_MM) -> Tensor:
    """Return the framewise displacement (n,) of parameters (n, 6) in mm, by Power's definition.

    It is the sum of the absolute changes of the six parameters since the frame before, rotations
    counting as arcs on a sphere of `radius_mm`; that of the first frame is 0. See Power et al.,
    NeuroImage 59 (2012) 2142-2154.
    """
    change = parameters.diff(dim=0).abs()
    arcs = torch.deg2rad(change[:, 3:]) * radius_mm
    total = change[:, :3].sum(dim=1) + arcs.sum(dim=1)
    return torch.cat([total.new_zeros(1), total])


def _level(image: Tensor, grid: Grid, kind: MotionKind, sigma: float) -> Reference:
    smooth = _smoothed(image, grid, sigma)
    per_voxel = torch.stack(torch.gradient(smooth))  # [3, X, Y, Z], per voxel of each axis
    to_index = grid.inverse[:3, :3].float()
    gradient = torch.einsum("ka,kxyz->axyz", to_index, per_voxel)
    steep = gradient.norm(dim=0).flatten()
    chosen = torch.nonzero(steep > steep.median())[:, 0]
    chosen = chosen[:: max(1, -(-len(chosen) // POINTS))]
    index = torch.stack(torch.unravel_index(chosen, smooth.shape), dim=1)
    points = grid.to_world(index)
    slopes = gradient.flatten(1)[:, chosen].T.double()
    centre = grid.centre
    arm = points - centre
    if kind == "rigid":
        turned = torch.linalg.cross(arm, slopes)
    else:
        turned = (slopes[:, :, None] * arm[:, None, :]).flatten(1)
    derivatives = torch.cat([slopes, turned], dim=1)
    return Reference(sigma, points, smooth.flatten()[chosen].double(), derivatives, centre)


def _step(level: Reference, coefficients: Tensor, grid: Grid, matrix: Tensor) -> Tensor:
    """Return the motion of the reference that explains the residuals best: 4x4."""
    moved = level.points @ matrix[:3, :3].T + matrix[:3, 3]
    index = grid.to_index(moved).T.reshape(1, 3, -1, 1, 1).float()
    covered = inside(index, grid.shape).flatten()
    values = sample_cubic(coefficients, index).flatten().double()[covered]
    wanted, derivatives = level.values[covered], level.derivatives[covered]
    if len(wanted) < 100:
        return torch.eye(4, dtype=torch.float64)
    residual = (values @ wanted) / (values @ values).clamp_min(1e-12) * values - wanted
    spread = 1.4826 * float((residual - residual.median()).abs().median()) + 1e-12
    weight = (HUBER * spread / residual.abs().clamp_min(1e-12)).clamp_max(1)
    weighted = derivatives * weight[:, None]
    normal = weighted.T @ derivatives
    scale = normal.diagonal().clamp_min(1e-12).sqrt()
    normal = normal / scale[:, None] / scale + 1e-9 * torch.eye(len(scale)).double()
    solution = torch.linalg.solve(normal, (weighted.T @ residual) / scale) / scale
    return _motion(solution, level.centre)


def _motion(parameters: Tensor, centre: Tensor) -> Tensor:
    """Return the 4x4 matrix of 3 translations and 3 rotations or 9 linear terms about `centre`."""
    matrix = torch.eye(4, dtype=torch.float64)
    if len(parameters) == 6:
        x, y, z = parameters[3:].tolist()
        turn = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
        matrix[:3, :3] = torch.linalg.matrix_exp(turn)
    else:
        matrix[:3, :3] += parameters[3:].reshape(3, 3)
    matrix[:3, 3] = centre + parameters[:3] - matrix[:3, :3] @ centre
    return matrix


def _smoothed(image: Tensor, grid: Grid, sigma_mm: float) -> Tensor:
    """Return an image [X, Y, Z] smoothed by a Gaussian of `sigma_mm`, float32."""
    taps = [gaussian_taps(max(0.3, sigma_mm / spacing)) for spacing in grid.spacing]
    return separable_filter(image.float()[None, None], taps, "replicate")[0, 0]
