"""Small known perturbations of a pair, and how they are undone.

A perturbation moves the moving image rigidly in the world, by its header alone and therefore
without interpolation. It also removes a few voxels at the borders of the moving image, and changes
the intensities of both images slightly. Only the rigid motion changes the transform, and the
inverse motion undoes it exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from zoo.datasets.pairs import Pair
from zoo.geometry import Grid, Transform
from zoo.io.volume import Volume
from zoo.measures.padding import find_data

ROTATION_DEGREES = 1.0
"""The largest component of the rotation vector."""
SHIFT = 0.01
"""The largest component of the shift, relative to the longest side of the moving image."""
CROP = 3
"""The most voxels that are removed at one border."""
GAMMA = 0.05
"""The largest logarithm of the exponent of the intensities."""
NOISE = 0.01
"""The standard deviation of the noise, relative to the range of the intensities."""

_RANGE = (0.005, 0.995)  # quantiles of the intensities
_MOST_SAMPLES = 1_000_000  # voxels of which the quantiles are computed

Margins = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Perturbation:
    """A perturbation of a pair.

    `rigid` (4x4, RAS+ mm, float64) moves the moving image in the world. `crop` has the numbers of
    voxels that are removed at the start and at the end of each array axis of the moving image, or
    a sixteenth of the axis if that is less. `gammas` are the exponents of the intensities of the
    fixed and of the moving image. `seed` determines the noise.
    """

    rigid: Tensor
    crop: Margins
    gammas: tuple[float, float]
    seed: int


def draw_perturbation(seed: int, moving: Grid) -> Perturbation:
    """Draw a perturbation for a moving image on the grid `moving`; equal seeds give equal ones."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(count: int, largest: float) -> Tensor:
        values = torch.rand(count, generator=generator, dtype=torch.float64)
        return (2 * values - 1) * largest

    x, y, z = uniform(3, math.radians(ROTATION_DEGREES)).tolist()
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    shift = uniform(3, shift_mm(moving))
    rigid = torch.eye(4, dtype=torch.float64)
    rigid[:3, :3] = torch.linalg.matrix_exp(cross)
    rigid[:3, 3] = moving.centre - rigid[:3, :3] @ moving.centre + shift
    shares = torch.rand(3, 2, generator=generator).tolist()
    crop = tuple((int(a * (CROP + 1)), int(b * (CROP + 1))) for a, b in shares)
    fixed_gamma, moving_gamma = uniform(2, GAMMA).exp().tolist()
    return Perturbation(rigid, crop, (fixed_gamma, moving_gamma), seed)


def shift_mm(moving: Grid) -> float:
    """Return the largest component of the shift of an image on the grid `moving`, in mm."""
    return SHIFT * max(n * s for n, s in zip(moving.shape, moving.spacing, strict=True))


def perturb(pair: Pair, perturbation: Perturbation) -> Pair:
    """Return a perturbed pair; the grid of the fixed image and its annotations stay the same.

    Labels, mask and landmarks of the moving image move with it.
    """
    generator = torch.Generator().manual_seed(perturbation.seed)
    fixed_gamma, moving_gamma = perturbation.gammas

    def placed(volume: Volume | None) -> Volume | None:
        return None if volume is None else _placed(volume, perturbation)

    points, rigid = pair.moving_points, perturbation.rigid
    return replace(
        pair,
        fixed=_varied(pair.fixed, fixed_gamma, generator),
        moving=tuple(
            _placed(_varied(volume, moving_gamma, generator), perturbation)
            for volume in pair.moving
        ),
        moving_labels=placed(pair.moving_labels),
        moving_mask=placed(pair.moving_mask),
        moving_points=None if points is None else Transform(rigid).map_points(points),
    )


def undo(transform: Transform, perturbation: Perturbation) -> Transform:
    """Return the transform to the original moving image from that to the perturbed one."""
    back = torch.linalg.inv(perturbation.rigid)
    return Transform(back @ transform.affine, transform.field, transform.grid)


def _placed(volume: Volume, perturbation: Perturbation) -> Volume:
    """Return a volume without some voxels at its borders, moved rigidly in the world."""
    kept = volume.data
    inner = torch.eye(4, dtype=torch.float64)
    for axis, (start, stop) in enumerate(perturbation.crop):
        length = kept.shape[axis]
        start, stop = min(start, length // 16), min(stop, length // 16)
        kept = kept.narrow(axis, start, length - start - stop)
        inner[axis, 3] = start
    shape = (kept.shape[0], kept.shape[1], kept.shape[2])
    grid = Grid(shape, perturbation.rigid @ volume.grid.affine @ inner)
    return replace(volume, data=kept.contiguous(), grid=grid)


def _varied(volume: Volume, gamma: float, generator: torch.Generator) -> Volume:
    """Return a volume with an exponent on its intensities and with noise.

    Values beyond the quantiles of the range keep their distance from it. Padding stays constant,
    because a registration treats it in its own way.
    """
    image = volume.data.float()
    step = max(1, image.numel() // _MOST_SAMPLES)
    low, high = torch.quantile(image.flatten()[::step], torch.tensor(_RANGE)).tolist()
    if not high > low:
        return volume
    width = high - low
    share = ((image - low) / width).clamp_(0, 1)
    change = (share**gamma - share).mul_(width)
    change += NOISE * width * torch.randn(image.shape, generator=generator)
    data = find_data(image)
    if data is not None:
        change *= data
    return replace(volume, data=image + change)
