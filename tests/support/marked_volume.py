"""A body with a bright ball on one side, which shows the orientation of pictures."""

from pathlib import Path

import torch

from zoo.geometry import Grid
from zoo.io.volume import Volume


def marked_volume(
    grid: Grid,
    direction: tuple[float, float, float],
    offset_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Volume:
    """Return a body with a bright ball towards `direction` (RAS mm) from its centre."""
    points = grid.to_world(torch.cartesian_prod(*[torch.arange(n) for n in grid.shape]))
    points = points - torch.tensor(offset_mm).double()
    body = (points.norm(dim=1) < 14).float() * 100
    ball = (points - 9 * torch.tensor(direction).double()).norm(dim=1) < 6
    data = torch.where(ball, 400.0, body.double()).view(grid.shape).float()
    return Volume(data, grid, Path("marked.nii.gz"))
