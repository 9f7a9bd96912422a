"""A voxel lattice in the world: where the voxels of a volume lie, in RAS+ mm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Grid:
    """`shape` voxels (X, Y, Z) and the 4x4 `affine` that maps a voxel index to RAS+ mm.

    The affine is float64 on the CPU. Two grids are compared with `same_as`, in mm.
    """

    shape: Shape
    affine: Tensor

    def __post_init__(self) -> None:
        affine = torch.as_tensor(self.affine, dtype=torch.float64).detach().cpu().clone()
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"a grid has three axes of at least one voxel, not {self.shape}")
        if affine.shape != (4, 4) or not torch.isfinite(affine).all():
            raise ValueError(f"a grid's affine is a finite 4x4 matrix, not {affine.tolist()}")
        if not invertible(affine[:3, :3]):
            raise ValueError(f"a grid's affine must be invertible, not {affine.tolist()}")

    @classmethod
    def from_spacing(cls, shape: Sequence[int], spacing: Sequence[float] = (1, 1, 1)) -> Grid:
        """Return an axis-aligned RAS grid at the origin with the given spacing in mm."""
        affine = torch.diag(torch.tensor([*spacing, 1.0], dtype=torch.float64))
        return cls((shape[0], shape[1], shape[2]), affine)

    @cached_property
    def inverse(self) -> Tensor:
        """The 4x4 matrix that maps RAS+ mm to a voxel index."""
        inverse: Tensor = torch.linalg.inv(self.affine)
        return inverse

    @property
    def linear(self) -> Tensor:
        """The 3x3 part of the affine: mm per voxel step."""
        return self.affine[:3, :3]

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """The length of one voxel step along each array axis, mm."""
        x, y, z = torch.linalg.norm(self.linear, dim=0).tolist()
        return x, y, z

    @cached_property
    def axis_codes(self) -> str:
        """Where each array axis points most, as three letters such as "RAS" or "LPS"."""
        codes = ["", "", ""]
        order, signs = nearest_axes(self.linear)
        for world, (axis, sign) in enumerate(zip(order, signs, strict=True)):
            codes[axis] = ("LPI", "RAS")[sign > 0][world]
        return "".join(codes)

    @property
    def voxels(self) -> int:
        """How many voxels the grid has."""
        x, y, z = self.shape
        return x * y * z

    @property
    def centre(self) -> Tensor:
        """The middle of the grid, (3,) RAS+ mm."""
        middle = (torch.tensor(self.shape, dtype=torch.float64) - 1) / 2
        return self.to_world(middle[None])[0]

    def to_world(self, index: Tensor) -> Tensor:
        """Map voxel indices (n, 3) to RAS+ mm (n, 3), float64."""
        return index.double().cpu() @ self.linear.T + self.affine[:3, 3]

    def to_index(self, points: Tensor) -> Tensor:
        """Map RAS+ mm (n, 3) to voxel indices (n, 3), float64."""
        return points.double().cpu() @ self.inverse[:3, :3].T + self.inverse[:3, 3]

    def resize(self, shape: Sequence[int]) -> Grid:
        """Return the grid with `shape` voxels over the same field of view.

        The outer faces of the outermost voxels stay where they are: new index + .5 =
        (old index + .5) * new / old, the rule of `F.interpolate(align_corners=False)`.
        """
        scale = torch.tensor(self.shape, dtype=torch.float64) / torch.tensor(
            list(shape), dtype=torch.float64
        )
        change = torch.eye(4, dtype=torch.float64)
        change[:3, :3] = torch.diag(scale)
        change[:3, 3] = (scale - 1) / 2
        return Grid((shape[0], shape[1], shape[2]), self.affine @ change)

    def with_spacing(self, spacing: Sequence[float]) -> Grid:
        """Return a grid over the same field of view with about the given spacing in mm."""
        shape = [
            max(1, round(n * old / new))
            for n, old, new in zip(self.shape, self.spacing, spacing, strict=True)
        ]
        return self.resize(shape)

    def moved(self, matrix: Tensor) -> Grid:
        """Return the grid with every voxel moved by a 4x4 world matrix, RAS+ mm."""
        return Grid(self.shape, matrix.double().cpu() @ self.affine)

    def same_as(self, other: Grid, tolerance: float = 1e-3) -> bool:
        """Say whether both have one shape and no corner lies more than `tolerance` mm apart."""
        if self.shape != other.shape:
            return False
        corners = torch.cartesian_prod(*[torch.tensor([0.0, n - 1.0]) for n in self.shape])
        apart = self.to_world(corners) - other.to_world(corners)
        return bool(apart.norm(dim=1).max() <= tolerance)

    def describe(self) -> str:
        """Return shape, spacing and orientation in words: `96x96x60, 2.5x2.5x2.5 mm, LAS`."""
        spacing = "x".join(f"{s:.4g}" for s in self.spacing)
        return f"{'x'.join(map(str, self.shape))}, {spacing} mm, {self.axis_codes}"


def invertible(linear: Tensor) -> bool:
    """Say whether the columns of a 3x3 map span space, however short they are."""
    lengths = torch.linalg.norm(linear, dim=0)
    return bool(lengths.min() > 0 and torch.linalg.det(linear / lengths).abs() > 1e-6)


def nearest_axes(linear: Tensor) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return, for each row axis of a 3x3 map, the column axis nearest to it, and its sign.

    The assignment is the best of the six permutations (largest sum of direction cosines), so that
    an oblique matrix near 45 degrees still gives each axis once.
    """
    cosines = linear / torch.linalg.norm(linear, dim=0, keepdim=True)
    options = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    best = max(options, key=lambda order: sum(float(cosines[k, order[k]].abs()) for k in range(3)))
    signs = [1 if cosines[k, best[k]] >= 0 else -1 for k in range(3)]
    return best, (signs[0], signs[1], signs[2])
