"""An analytic anatomy, drawn on any grid and moved by any affine map."""

import math
from functools import lru_cache

import torch

from zoo.synthesis.phantom import placed_grid

SIZE = torch.tensor([62.0, 78.0, 58.0], dtype=torch.float64)  # half-widths of the body, mm


def anatomy(points):
    """Return the values of an ellipsoid with bright and dark organs at world points (n, 3) mm."""
    generator = torch.Generator().manual_seed(5)
    body = torch.sigmoid((1 - (points / SIZE).norm(dim=1)) * 25)
    inner = torch.zeros(len(points), dtype=torch.float64)
    for _ in range(14):
        centre = (torch.rand(3, generator=generator, dtype=torch.float64) - 0.5) * 1.2 * SIZE
        width = 8 + 12 * torch.rand(1, generator=generator, dtype=torch.float64)
        sign = 1 if torch.rand(1, generator=generator) > 0.4 else -0.8
        inner += sign * torch.exp(-((points - centre).square().sum(1)) / (2 * width**2))
    return body * (1 + 0.7 * torch.tanh(inner))


@lru_cache(maxsize=16)
def draw(grid, matrix=None, noise=0.03):
    """Draw the anatomy moved by a 4x4 world matrix; the same objects give the same tensor."""
    points = grid.to_world(torch.cartesian_prod(*[torch.arange(n) for n in grid.shape]))
    if matrix is not None:
        back = torch.linalg.inv(matrix)
        points = points @ back[:3, :3].T + back[:3, 3]
    image = anatomy(points).float().view(grid.shape)
    return image + noise * torch.randn(grid.shape, generator=torch.Generator().manual_seed(0))


def world_map(turn=(0, 0, 0), scale=(1, 1, 1), shift=(0, 0, 0)):
    """Return a 4x4 map that scales along the axes, rotates by degrees and shifts by mm."""
    x, y, z = (math.radians(t) for t in turn)
    skew = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3] = torch.matrix_exp(skew) @ torch.diag(torch.tensor(scale, dtype=torch.float64))
    matrix[:3, 3] = torch.tensor(shift, dtype=torch.float64)
    return matrix


def error(result, truth):
    """Return the mean distance in mm between two maps over the body."""
    random = torch.Generator().manual_seed(1)
    points = (torch.rand(500, 3, generator=random, dtype=torch.float64) * 2 - 1) * SIZE
    points = points[(points / SIZE).norm(dim=1) < 1]
    change = result - truth
    return float((points @ change[:3, :3].T + change[:3, 3]).norm(dim=1).mean())


def placed(shape, spacing, axes="RAS", tilt=0.0, centre=(0, 0, 0)):
    """Return a grid centred at a world point."""
    shift = torch.eye(4, dtype=torch.float64)
    shift[:3, 3] = torch.tensor(centre, dtype=torch.float64)
    return placed_grid(shape, spacing, axes, tilt).moved(shift)


FIXED = placed((52, 64, 50), (3, 3, 3))


TRUTH = world_map((8, -6, 10), (1.1, 0.92, 1.04), (12, -7, 9))


TARGETS = {
    "same": placed((56, 66, 54), (3, 3, 3), centre=(10, -5, 10)),
    "LAS": placed((56, 66, 54), (3, 3, 3), "LAS", centre=(10, -5, 10)),
    "permuted": placed((54, 56, 66), (3, 3, 3), "SLA", centre=(10, -5, 10)),
    "oblique, anisotropic": placed((88, 104, 36), (2, 2, 5), "LPS", 25, (10, -5, 10)),
    "large": placed((80, 80, 80), (3.5, 3.5, 3.5), centre=(40, -40, 30)),
}


def cut(image, axis, part, value=0.0):
    """Return an image whose first or last (negative) part along an axis is padding, and its data.

    `part` is a fraction of the length of the axis.
    """
    data = torch.zeros(image.shape, dtype=torch.bool)
    n = round(abs(part) * image.shape[axis])
    size = image.shape[axis] - n
    data.narrow(axis, n if part > 0 else 0, size).fill_(True)
    return torch.where(data, image, value), data
