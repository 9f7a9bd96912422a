"""The voxel grid of a volume: its shape and its position in world coordinates, RAS+ mm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Grid:
    """A grid of `shape` (X, Y, Z) voxels and its 4x4 `affine` from voxel indices to RAS+ mm.

    The affine is float64 on the CPU. Two grids are compared with `same_as`, which has a tolerance.
    """

    shape: Shape
    affine: Tensor

    def __post_init__(self) -> None:
        affine = torch.as_tensor(self.affine, dtype=torch.float64).detach().cpu().clone()
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"a grid needs three axes of at least one voxel, not {self.shape}")
        if affine.shape != (4, 4) or not torch.isfinite(affine).all():
            raise ValueError(
                f"the affine of a grid must be a finite 4x4 matrix, not {affine.tolist()}"
            )
        if not is_invertible(affine[:3, :3]):
            raise ValueError(f"the affine of a grid must be invertible, not {affine.tolist()}")

    @classmethod
    def from_spacing(cls, shape: Sequence[int], spacing: Sequence[float] = (1, 1, 1)) -> Grid:
        """Return an axis-aligned RAS grid at the origin with the given spacing in mm."""
        affine = torch.diag(torch.tensor([*spacing, 1.0], dtype=torch.float64))
        return cls((shape[0], shape[1], shape[2]), affine)

    @cached_property
    def inverse(self) -> Tensor:
        """The 4x4 matrix that maps RAS+ mm to voxel indices."""
        inverse: Tensor = torch.linalg.inv(self.affine)
        return inverse

    @property
    def linear(self) -> Tensor:
        """The 3x3 part of the affine; column k is the step along array axis k, in mm."""
        return self.affine[:3, :3]

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """The distance between neighbouring voxels along each array axis, mm."""
        x, y, z = torch.linalg.norm(self.linear, dim=0).tolist()
        return x, y, z

    @cached_property
    def axis_codes(self) -> str:
        """The nearest anatomical direction of each array axis, such as "RAS" or "LPS"."""
        codes = ["", "", ""]
        order, signs = nearest_axes(self.linear)
        for world, (axis, sign) in enumerate(zip(order, signs, strict=True)):
            codes[axis] = ("LPI", "RAS")[sign > 0][world]
        return "".join(codes)

    @property
    def voxels(self) -> int:
        """The number of voxels."""
        x, y, z = self.shape
        return x * y * z

    @property
    def centre(self) -> Tensor:
        """The centre of the grid: (3,), RAS+ mm."""
        middle = (torch.tensor(self.shape, dtype=torch.float64) - 1) / 2
        return self.to_world(middle[None])[0]

    def to_world(self, index: Tensor) -> Tensor:
        """Map voxel indices (n, 3) to RAS+ mm (n, 3), float64."""
        return index.cpu().double() @ self.linear.T + self.affine[:3, 3]

    def to_index(self, points: Tensor) -> Tensor:
        """Map RAS+ mm (n, 3) to voxel indices (n, 3), float64."""
        return points.cpu().double() @ self.inverse[:3, :3].T + self.inverse[:3, 3]

    def resize(self, shape: Sequence[int]) -> Grid:
        """Return a grid of `shape` voxels over the same field of view.

        The outer faces of the outermost voxels stay in place: new index + 0.5 = (old index + 0.5) *
        new size / old size, the convention of `F.interpolate(align_corners=False)`.
        """
        scale = torch.tensor(self.shape, dtype=torch.float64) / torch.tensor(
            list(shape), dtype=torch.float64
        )
        change = torch.eye(4, dtype=torch.float64)
        change[:3, :3] = torch.diag(scale)
        change[:3, 3] = (scale - 1) / 2
        return Grid((shape[0], shape[1], shape[2]), self.affine @ change)

    def with_spacing(self, spacing: Sequence[float]) -> Grid:
        """Return a grid over the same field of view whose spacing is close to `spacing`, mm."""
        shape = [
            max(1, round(n * old / new))
            for n, old, new in zip(self.shape, self.spacing, spacing, strict=True)
        ]
        return self.resize(shape)

    def moved(self, matrix: Tensor) -> Grid:
        """Return the grid with every voxel moved by `matrix`, 4x4, in RAS+ mm."""
        return Grid(self.shape, matrix.cpu().double() @ self.affine)

    def same_as(self, other: Grid, tolerance: float = 1e-3) -> bool:
        """Return whether shapes are equal and all corners agree to within `tolerance` mm."""
        if self.shape != other.shape:
            return False
        corners = torch.cartesian_prod(*[torch.tensor([0.0, n - 1.0]) for n in self.shape])
        difference = self.to_world(corners) - other.to_world(corners)
        return bool(difference.norm(dim=1).max() <= tolerance)

    def describe(self) -> str:
        """Return shape, spacing and orientation as text: `96x96x60, 2.5x2.5x2.5 mm, LAS`."""
        spacing = "x".join(f"{s:.4g}" for s in self.spacing)
        return f"{'x'.join(map(str, self.shape))}, {spacing} mm, {self.axis_codes}"


def is_invertible(linear: Tensor) -> bool:
    """Return whether a 3x3 matrix is invertible, judged on its columns scaled to length one."""
    lengths = torch.linalg.norm(linear, dim=0)
    return bool(lengths.min() > 0 and torch.linalg.det(linear / lengths).abs() > 1e-6)


def nearest_axes(linear: Tensor) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Match each row axis of a 3x3 matrix with its nearest column axis; return axes and signs.

    The best of the six permutations is taken (the largest sum of absolute direction cosines), so
    each axis occurs once even when the matrix is rotated by about 45 degrees.
    """
    cosines = linear / torch.linalg.norm(linear, dim=0, keepdim=True)
    permutations = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    order = max(permutations, key=lambda p: sum(float(cosines[k, p[k]].abs()) for k in range(3)))
    signs = [1 if cosines[k, order[k]] >= 0 else -1 for k in range(3)]
    return order, (signs[0], signs[1], signs[2])
