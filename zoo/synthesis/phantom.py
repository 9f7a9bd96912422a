"""Seeded anatomy-like pairs whose true map is known in closed form, for tests and the demo.

The anatomy is a function of world coordinates, so that it can be drawn on any grid without
interpolation: the moving image is anatomy(y), the fixed image is anatomy(T(x)). Lengths are
fractions of the body's half-width, so that one seed is the same anatomy at every size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.errors import UserError
from zoo.geometry.grid import Grid
from zoo.geometry.transform import Transform, slabs

TISSUES = ("air", "body", "lung", "bone", "organ", "vessel", "lesion")
ORGANS = 11

CONTRASTS: Mapping[str, tuple[float, ...]] = {
    "ct": (-1000, 30, -820, 650, 70, 180, 110),
    "t1": (5, 420, 60, 120, 640, 300, 200),
    "t2": (5, 300, 40, 90, 240, 700, 850),
    "pd": (5, 560, 90, 150, 680, 620, 720),
}
"""Mean intensity of each tissue: Hounsfield units for ct, scanner units for the MR contrasts."""

TEXTURE: Mapping[str, float] = {"ct": 25, "t1": 70, "t2": -60, "pd": 45}
NOISE: Mapping[str, float] = {"ct": 8, "t1": 10, "t2": 10, "pd": 8}


@dataclass(frozen=True)
class PhantomPair:
    """Two images [X, Y, Z] float32 with labels (uint8), key points (n, 3) RAS+ mm, and the truth.

    `fixed_points[i]` and `moving_points[i]` are one place of the anatomy; `truth` maps the first to
    the second and is dense on the fixed grid.
    """

    fixed: Tensor
    moving: Tensor
    fixed_labels: Tensor
    moving_labels: Tensor
    fixed_grid: Grid
    moving_grid: Grid
    fixed_points: Tensor
    moving_points: Tensor
    truth: Transform


@dataclass(frozen=True)
class SmoothMap:
    """T(x) = x + sum of sine waves: smooth, and invertible while `steepness` stays below 1.

    `waves` (n, 3) rad/mm, `phases` (n,), `amplitudes` (n, 3) mm.
    """

    waves: Tensor
    phases: Tensor
    amplitudes: Tensor

    @classmethod
    def draw(cls, seed: int, largest_mm: float, size_mm: float, steepness: float) -> SmoothMap:
        """Draw a map whose steps reach about `largest_mm` over a body of half-width `size_mm`."""
        random = torch.Generator().manual_seed(seed)
        count = 6
        waves = torch.randn(count, 3, generator=random, dtype=torch.float64)
        waves = waves / waves.norm(dim=1, keepdim=True)
        waves = waves * (math.pi / size_mm)
        waves = waves * (0.6 + torch.rand(count, 1, generator=random, dtype=torch.float64))
        phases = 2 * math.pi * torch.rand(count, generator=random, dtype=torch.float64)
        amplitudes = torch.randn(count, 3, generator=random, dtype=torch.float64)
        amplitudes = amplitudes * (largest_mm / float(amplitudes.norm(dim=1).sum()))
        slope = float((amplitudes.norm(dim=1) * waves.norm(dim=1)).sum())
        return cls(waves, phases, amplitudes * min(1.0, steepness / slope))

    def displacement(self, points: Tensor) -> Tensor:
        """Return T(x) - x at points (n, 3) mm -> (n, 3) mm, float64."""
        return torch.sin(points.double() @ self.waves.T + self.phases) @ self.amplitudes

    def __call__(self, points: Tensor) -> Tensor:
        """Map points (n, 3) mm -> (n, 3) mm, float64."""
        return points.double() + self.displacement(points)

    def jacobian_determinant(self, points: Tensor) -> Tensor:
        """Return det(dT/dx) at points (n, 3) mm -> (n,), from the derivative in closed form."""
        slope = torch.cos(points.double() @ self.waves.T + self.phases)
        gradient = torch.einsum("pn,nk,nj->pkj", slope, self.amplitudes, self.waves)
        return torch.linalg.det(gradient + torch.eye(3, dtype=torch.float64))

    def inverse(self, points: Tensor) -> Tensor:
        """Return x with T(x) = y for points y (n, 3) mm -> (n, 3) mm, to 1e-9 mm."""
        found = points.double()
        for _ in range(200):
            found = points.double() - self.displacement(found)
        return found


@dataclass(frozen=True)
class Anatomy:
    """A body with eleven ellipsoid-like organs; a function of world points."""

    centres: Tensor
    radii: Tensor
    rotations: Tensor
    tissues: tuple[int, ...]
    waves: Tensor
    phases: Tensor

    @classmethod
    def draw(cls, seed: int, size_mm: Sequence[float]) -> Anatomy:
        """Draw an anatomy for a body with the half-widths `size_mm` (3,) about the origin."""
        random = torch.Generator().manual_seed(seed)
        size = torch.tensor(list(size_mm), dtype=torch.float64)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=random, dtype=torch.float64)

        directions = torch.randn(ORGANS, 3, generator=random, dtype=torch.float64)
        directions = directions / directions.norm(dim=1, keepdim=True)
        centres = directions * (0.15 + 0.4 * uniform(ORGANS, 1)) * size
        radii = (0.13 + 0.17 * uniform(ORGANS, 3)) * size
        rotations = torch.linalg.qr(
            torch.randn(ORGANS, 3, 3, generator=random, dtype=torch.float64)
        )[0]
        body = torch.eye(3, dtype=torch.float64)[None]
        waves = torch.randn(10, 3, generator=random, dtype=torch.float64) * (9 / size)
        return cls(
            centres=torch.cat([torch.zeros(1, 3, dtype=torch.float64), centres]),
            radii=torch.cat([0.82 * size[None], radii]),
            rotations=torch.cat([body, rotations]),
            tissues=(1, *(2 + k % (len(TISSUES) - 2) for k in range(ORGANS))),
            waves=waves,
            phases=2 * math.pi * uniform(10),
        )

    def labels(self, points: Tensor) -> Tensor:
        """Return the structure at points (n, 3) mm: 0 air, 1 body, 2.. the organs, (n,) uint8."""
        bump = 0.05 * torch.sin(points.double() @ self.waves[:3].T + self.phases[:3]).sum(dim=1)
        out = torch.zeros(len(points), dtype=torch.uint8)
        for k, (centre, radius, rotation) in enumerate(
            zip(self.centres, self.radii, self.rotations, strict=True)
        ):
            local = ((points.double() - centre) @ rotation) / radius
            inside = local.norm(dim=1) + bump < 1
            out[inside if k == 0 else inside & (out > 0)] = k + 1
        return out

    def texture(self, points: Tensor) -> Tensor:
        """Return a smooth pattern in about [-1, 1] at points (n, 3) mm -> (n,)."""
        return torch.sin(points.double() @ self.waves.T + self.phases).mean(dim=1) * 2

    def intensity(self, points: Tensor, labels: Tensor, contrast: str) -> Tensor:
        """Return the noiseless intensity at points (n, 3) mm -> (n,)."""
        table = torch.tensor(CONTRASTS[contrast], dtype=torch.float64)
        tissue = torch.tensor([0, *self.tissues])[labels.long()]
        return table[tissue] + TEXTURE[contrast] * self.texture(points) * (labels > 0)


def make_pair(
    seed: int = 0,
    *,
    shape: Sequence[int] = (64, 64, 64),
    spacing: Sequence[float] = (2.0, 2.0, 2.0),
    axes: str = "RAS",
    tilt_degrees: float = 0.0,
    contrasts: tuple[str, str] = ("t1", "t1"),
    largest_mm: float | None = None,
    moving_shape: Sequence[int] | None = None,
    moving_spacing: Sequence[float] | None = None,
    moving_axes: str | None = None,
    noise: bool = True,
) -> PhantomPair:
    """Make a pair on the grids asked for; equal arguments give equal voxels.

    `contrasts` are those of the fixed and the moving image; `largest_mm` bounds the step of the
    true map (a quarter of the half-width by default); `tilt_degrees` makes both grids oblique.
    """
    for contrast in contrasts:
        if contrast not in CONTRASTS:
            raise UserError(f"contrast {contrast!r} is unknown; use one of {', '.join(CONTRASTS)}")
    fixed = placed_grid(shape, spacing, axes, tilt_degrees)
    moving = placed_grid(
        moving_shape or shape, moving_spacing or spacing, moving_axes or axes, tilt_degrees
    )
    size = _half_widths(fixed)
    anatomy = Anatomy.draw(seed, size.tolist())
    smallest = float(size.min())
    step = smallest / 4 if largest_mm is None else largest_mm
    warp = SmoothMap.draw(seed + 1, step, smallest, steepness=0.7)

    fixed_labels, fixed_image = _draw(anatomy, fixed, contrasts[0], warp, noise, seed + 2)
    moving_labels, moving_image = _draw(anatomy, moving, contrasts[1], None, noise, seed + 3)
    fixed_points = _key_points(anatomy, warp)
    return PhantomPair(
        fixed=fixed_image,
        moving=moving_image,
        fixed_labels=fixed_labels,
        moving_labels=moving_labels,
        fixed_grid=fixed,
        moving_grid=moving,
        fixed_points=fixed_points,
        moving_points=warp(fixed_points),
        truth=true_transform(warp, fixed),
    )


def true_transform(warp: SmoothMap, grid: Grid) -> Transform:
    """Return the map drawn as a dense transform on `grid`."""
    field = torch.empty(3, *grid.shape)
    for start, stop in slabs(grid):
        steps = warp.displacement(_world(grid, start, stop))
        field[:, start:stop] = steps.T.reshape(3, stop - start, *grid.shape[1:]).float()
    return Transform(torch.eye(4), field, grid)


def placed_grid(
    shape: Sequence[int], spacing: Sequence[float], axes: str = "RAS", tilt_degrees: float = 0.0
) -> Grid:
    """Return a grid about the world's origin whose array axes point as `axes` ("LPS", "SAR"...)."""
    direction = torch.zeros(3, 3, dtype=torch.float64)
    for column, letter in enumerate(axes):
        row = next((k for k, pair in enumerate(("RL", "AP", "SI")) if letter in pair), None)
        if row is None or direction[row].any():
            raise UserError(f"axes {axes!r} must name each of R/L, A/P, S/I once, such as 'RAS'")
        direction[row, column] = 1 if letter in "RAS" else -1
    angle = math.radians(tilt_degrees)
    about_x = torch.eye(3, dtype=torch.float64)
    about_x[1:, 1:] = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    about_z = torch.eye(3, dtype=torch.float64)
    about_z[:2, :2] = about_x[1:, 1:]
    affine = torch.eye(4, dtype=torch.float64)
    affine[:3, :3] = about_z @ about_x @ direction * torch.tensor(list(spacing)).double()
    affine[:3, 3] = -affine[:3, :3] @ ((torch.tensor(list(shape)).double() - 1) / 2)
    return Grid((shape[0], shape[1], shape[2]), affine)


def _half_widths(grid: Grid) -> Tensor:
    """Return half of the field of view along each world axis, (3,) mm."""
    extent = torch.tensor(grid.shape).double() * torch.tensor(grid.spacing).double() / 2
    direction = grid.linear / torch.tensor(grid.spacing).double()
    return (direction.abs().round() * extent).sum(dim=1).clamp_min(float(extent.min()))


def _world(grid: Grid, start: int, stop: int) -> Tensor:
    """Return the world place of each voxel of some rows: (n, 3) RAS+ mm, float64."""
    ranges = [torch.arange(n, dtype=torch.float64) for n in grid.shape]
    ranges[0] = ranges[0][start:stop]
    return grid.to_world(torch.cartesian_prod(*ranges))


def _draw(
    anatomy: Anatomy, grid: Grid, contrast: str, warp: SmoothMap | None, noise: bool, seed: int
) -> tuple[Tensor, Tensor]:
    """Return labels (uint8) and image (float32) of the anatomy on a grid, seen through a map."""
    labels = torch.empty(grid.shape, dtype=torch.uint8)
    image = torch.empty(grid.shape, dtype=torch.float32)
    for start, stop in slabs(grid):
        points = _world(grid, start, stop)
        points = points if warp is None else warp(points)
        found = anatomy.labels(points)
        labels[start:stop] = found.view(stop - start, *grid.shape[1:])
        seen = anatomy.intensity(points, found, contrast)
        image[start:stop] = seen.float().view(stop - start, *grid.shape[1:])
    if noise:
        random = torch.Generator().manual_seed(seed)
        image += NOISE[contrast] * torch.randn(grid.shape, generator=random)
    return labels, image


def _key_points(anatomy: Anatomy, warp: SmoothMap) -> Tensor:
    """Return one fixed point for each organ's centre and its ends: (n, 3) RAS+ mm."""
    ends = anatomy.rotations[1:] * anatomy.radii[1:, None, :] * 0.6
    places = [anatomy.centres[1:]]
    places += [anatomy.centres[1:] + sign * ends[:, :, k] for k in range(3) for sign in (-1, 1)]
    return warp.inverse(torch.cat(places))
