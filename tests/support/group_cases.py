"""Groups of subjects made from one known anatomy by known maps, whose mean is the identity."""

import torch

from zoo.geometry import Grid, Transform
from zoo.io.volume import write_volume
from zoo.synthesis.phantom import placed_grid
from zoo.synthesis.phantom_anatomy import Anatomy
from zoo.synthesis.smooth_map import SmoothMap

HALF_WIDTH = 40.0
GRIDS = (
    placed_grid((30, 27, 33), (2.9, 3.2, 2.7), "LPS", 8.0),
    placed_grid((33, 30, 23), (2.7, 2.9, 4.0), "RAS", -6.0),
    placed_grid((27, 33, 33), (3.2, 2.7, 2.7), "PIR"),
    placed_grid((33, 33, 30), (2.7, 2.7, 2.9), "RAS", 15.0),
)
"""Oblique, anisotropic, flipped and unequal grids."""


def anatomy_of(seed: int = 3) -> Anatomy:
    """Return the anatomy of the mean shape."""
    return Anatomy.draw(seed, [HALF_WIDTH] * 3)


def voxels(grid: Grid) -> torch.Tensor:
    """Return the world coordinates of all voxels: (n, 3), RAS+ mm, float64."""
    return grid.to_world(torch.cartesian_prod(*[torch.arange(float(n)) for n in grid.shape]))


def draw(anatomy: Anatomy, grid: Grid, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the image (float32) and the labels (uint8) of the anatomy at points, on a grid."""
    labels = anatomy.labels(points)
    image = anatomy.intensity(points, labels, "t1").float().view(grid.shape)
    return image, labels.to(torch.uint8).view(grid.shape)


def paired_maps(seed: int, largest_mm: float = 8.0) -> tuple[SmoothMap, SmoothMap]:
    """Return two smooth maps with opposite displacements."""
    one = SmoothMap.draw(seed, largest_mm, HALF_WIDTH, steepness=0.6)
    return one, SmoothMap(one.waves, one.phases, -one.amplitudes)


def write_subjects(folder, maps, grids=GRIDS, shift=None):
    """Write a subject for each map, which takes points of the mean shape to points of the subject.

    `shift` are 4x4 maps that move the subjects further.
    """
    folder.mkdir(parents=True, exist_ok=True)
    anatomy = anatomy_of()
    for k, (one, grid) in enumerate(zip(maps, grids, strict=True)):
        points = voxels(grid)
        if shift is not None:
            back = torch.linalg.inv(shift[k])
            points = points @ back[:3, :3].T + back[:3, 3]
        image, labels = draw(anatomy, grid, one.inverse(points))
        noise = torch.randn(grid.shape, generator=torch.Generator().manual_seed(k))
        write_volume(folder / f"s{k}_t1.nii.gz", image + 2 * noise, grid)
        write_volume(folder / f"s{k}_labels.nii.gz", labels, grid)


def correlation(one: torch.Tensor, two: torch.Tensor) -> float:
    """Return the correlation of two images."""
    return float(torch.corrcoef(torch.stack([one.flatten(), two.flatten()]).double())[0, 1])


IDENTITY = Transform.identity()
