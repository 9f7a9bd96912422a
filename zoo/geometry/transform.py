"""The transform of the zoo: it maps fixed world points to moving world points."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.geometry.grid import Grid
from zoo.geometry.sampling import affine_index, inside, sample


@dataclass(frozen=True, eq=False)
class Transform:
    """The map T(x) = affine @ (x + u(x)) from fixed to moving world points, RAS+ mm.

    `affine` is 4x4, float64. `field` is u: [3, X, Y, Z] float32, RAS+ mm, on `grid`; it is linear
    between voxels and zero outside the grid, as in ITK. Without a field the transform is affine.
    """

    affine: Tensor
    field: Tensor | None = None
    grid: Grid | None = None

    def __post_init__(self) -> None:
        affine = torch.as_tensor(self.affine, dtype=torch.float64).detach().cpu().clone()
        object.__setattr__(self, "affine", affine)
        if affine.shape != (4, 4) or not torch.isfinite(affine).all():
            raise ValueError(
                f"the affine of a transform must be a finite 4x4 matrix, not {affine.tolist()}"
            )
        if (self.field is None) != (self.grid is None):
            raise ValueError("a transform needs both a field and its grid, or neither")
        if self.field is not None and self.grid is not None:
            if tuple(self.field.shape) != (3, *self.grid.shape):
                raise ValueError(
                    f"the field on a grid of {self.grid.shape} must have the shape "
                    f"{(3, *self.grid.shape)}, not {tuple(self.field.shape)}"
                )
            object.__setattr__(self, "field", self.field.detach().float())

    @classmethod
    def identity(cls) -> Transform:
        """Return the identity transform."""
        return cls(torch.eye(4, dtype=torch.float64))

    @classmethod
    def from_voxels(
        cls, displacement: Tensor, grid: Grid, affine: Tensor | None = None
    ) -> Transform:
        """Return the transform of a pull-back displacement [3, X, Y, Z] in voxels of `grid`.

        Component k belongs to array axis k. `affine` (4x4, RAS+ mm) is applied after the
        displacement: it is the initial affine alignment with which the moving image was resampled
        onto `grid`.
        """
        linear = grid.linear.to(displacement.device, torch.float32)
        field = torch.einsum("kj,jxyz->kxyz", linear, displacement.detach().float())
        return cls(torch.eye(4) if affine is None else affine, field, grid)

    @property
    def device(self) -> torch.device:
        """The device of the field; the CPU without a field."""
        return self.affine.device if self.field is None else self.field.device

    def to(self, device: torch.device | str) -> Transform:
        """Return the transform with its field on `device`."""
        return (
            self if self.field is None else Transform(self.affine, self.field.to(device), self.grid)
        )

    def map_points(self, points: Tensor) -> Tensor:
        """Map fixed world points (n, 3) to moving world points (n, 3), RAS+ mm, float64."""
        points = torch.as_tensor(points).cpu().double()
        if self.field is not None and self.grid is not None:
            index = self.grid.to_index(points).T.reshape(1, 3, -1, 1, 1)
            step = sample(self.field[None].cpu().double(), index) * inside(index, self.grid.shape)
            points = points + step.reshape(3, -1).T
        return points @ self.affine[:3, :3].T + self.affine[:3, 3]

    def moving_index(
        self, fixed: Grid, moving: Grid, start: int = 0, stop: int | None = None
    ) -> Tensor:
        """Map the voxels of `fixed` to voxel indices of `moving`: [1, 3, x, Y, Z], float32.

        Only rows `start` to `stop` of the first axis are computed, so a large grid can be processed
        in slabs. The matrices are multiplied in float64 first, because world coordinates in float32
        would lose precision.
        """
        stop = fixed.shape[0] if stop is None else stop
        shape = (stop - start, *fixed.shape[1:])
        into = moving.inverse @ self.affine
        index = affine_index(into @ fixed.affine, shape, start=start, device=self.device)
        if self.field is not None:
            linear = into[:3, :3].to(self.device, torch.float32)
            step = self.displacement_on(fixed, start, stop)
            index += torch.matmul(linear, step.flatten(1)).view_as(index)
        return index

    def displacement_on(self, grid: Grid, start: int = 0, stop: int | None = None) -> Tensor:
        """Return u, without the affine, at rows `start` to `stop` of `grid`: [3, x, Y, Z], mm."""
        stop = grid.shape[0] if stop is None else stop
        shape = (stop - start, *grid.shape[1:])
        if self.field is None or self.grid is None:
            return torch.zeros(3, *shape)
        if self.grid.same_as(grid, tolerance=1e-6):
            return self.field[:, start:stop]
        matrix = self.grid.inverse @ grid.affine
        index = affine_index(matrix, shape, start=start, device=self.device)
        return (sample(self.field[None], index) * inside(index, self.grid.shape))[0]

    def dense_on(self, grid: Grid) -> Transform:
        """Return the same map, affine included, as a displacement on `grid` alone."""
        if self.grid is not None and self.grid.same_as(grid, 1e-6) and _is_identity(self.affine):
            return self
        change = self.affine - torch.eye(4, dtype=torch.float64)
        field = affine_index(change @ grid.affine, grid.shape, device=self.device)[0]
        linear = self.affine[:3, :3].to(self.device, torch.float32)
        for start, stop in slabs(grid):
            step = self.displacement_on(grid, start, stop).to(field)
            rows = field[:, start:stop]
            rows += torch.matmul(linear, step.flatten(1)).view_as(rows)
        return Transform(torch.eye(4), field, grid)

    def then(self, second: Transform, grid: Grid | None = None) -> Transform:
        """Return the composition x -> second(self(x)).

        The field of the result is on `grid`, by default on the grid of this transform. If this
        transform is affine and no grid is given, the grid of the second one is moved by the inverse
        of this affine, which is exact. The composition of two affine transforms is affine.
        """
        grid = grid or self.grid
        affine = second.affine @ self.affine
        if self.field is None and second.field is None:
            return Transform(affine)
        if grid is None and second.field is not None and second.grid is not None:
            to_first = torch.linalg.inv(self.affine)
            linear = to_first[:3, :3].to(second.device, torch.float32)
            vectors = torch.einsum("kj,jxyz->kxyz", linear, second.field)
            return Transform(affine, vectors, second.grid.moved(to_first))
        assert grid is not None
        back = torch.linalg.inv(affine)
        field = torch.empty(3, *grid.shape, device=self.device)
        for start, stop in slabs(grid):
            field[:, start:stop] = _composed(self, second, back, grid, start, stop)
        return Transform(affine, field, grid)


def slabs(grid: Grid, voxels: int = 1 << 20) -> list[tuple[int, int]]:
    """Split the first axis of a grid into (start, stop) ranges of about `voxels` voxels each."""
    rows = max(1, voxels // (grid.shape[1] * grid.shape[2]))
    return [(x, min(x + rows, grid.shape[0])) for x in range(0, grid.shape[0], rows)]


def _composed(
    first: Transform, second: Transform, back: Tensor, grid: Grid, start: int, stop: int
) -> Tensor:
    """Return u of second(first(x)) = affine @ (x + u(x)) at rows of `grid`, RAS+ mm.

    With affines A1, A2 and fields u1, u2 this is u(x) = u1(x) + inv(A1) u2(T1(x)). `back` is the
    inverse of A2 A1.
    """
    step = first.displacement_on(grid, start, stop).clone()
    if second.field is not None and second.grid is not None:
        index = first.moving_index(grid, second.grid, start, stop).to(second.device)
        second_step = sample(second.field[None], index) * inside(index, second.grid.shape)
        linear = (back @ second.affine)[:3, :3].to(second_step)
        moved = torch.matmul(linear, second_step[0].flatten(1)).view_as(second_step[0])
        step = step.to(second_step) + moved
    return step.to(first.device)


def _is_identity(affine: Tensor) -> bool:
    return bool((affine - torch.eye(4, dtype=torch.float64)).abs().max() < 1e-12)
