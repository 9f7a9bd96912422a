"""The working frame: the grid a network or a solver sees, and the way back to the world.

A frame brings the fixed and the moving images of a pair onto one lattice of voxels. A displacement
found there becomes a transform by `Transform.from_voxels(displacement, work.grid, work.affine)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.datasets.pairs import Pair
from zoo.errors import UserError
from zoo.geometry import Grid, Transform, match_axes, warp
from zoo.geometry.sampling import affine_index, inside, sample
from zoo.geometry.transform import slabs

LEAST_SHARED = 1 / 64
"""Share of the fixed field of view below which two images do not show one part of the body."""


@dataclass(frozen=True)
class Image:
    """An image [X, Y, Z] float32 on its grid, after its intensities were mapped."""

    data: Tensor
    grid: Grid


@dataclass(frozen=True)
class Work:
    """What a network sees: `image` [1, M + 1, X, Y, Z], moving images first, the fixed one last.

    `grid` is the lattice in the fixed world; voxel i of the moving channels was read at
    `affine @ grid.affine @ i` (RAS+ mm). `masks`, shaped like `image`, are 0 or 1, or None;
    several moving images share one. `whole` are the fixed and the moving grid where the lattice is
    only a part of them: a displacement found there is carried on to them from its border.
    `labels` [1, 2, X, Y, Z] are those of the moving and of the fixed image, where they are needed.
    `seen` is what the network sees where it has a grid of its own: the same images and field of
    view as `image`, from the files' voxels in one step.
    """

    image: Tensor
    grid: Grid
    affine: Tensor
    masks: Tensor | None = None
    whole: tuple[Grid, Grid] | None = None
    labels: Tensor | None = None
    seen: Tensor | None = None

    def transform(self, displacement: Tensor) -> Transform:
        """Turn a displacement [1, 3, X, Y, Z] in voxels into the map fixed -> moving."""
        found = Transform.from_voxels(displacement[0], self.grid, self.affine)
        return found if self.whole is None else carried_on(found, self.whole[0])

    def reverse_transform(self, displacement: Tensor) -> Transform:
        """Turn the displacement of the swapped pair into the map moving -> fixed."""
        grid = self.grid.moved(self.affine)
        found = Transform.from_voxels(displacement[0], grid, torch.linalg.inv(self.affine))
        return found if self.whole is None else carried_on(found, self.whole[1])


class Frame(Protocol):
    """Brings images onto one lattice, under an affine start (4x4, RAS+ mm) or None for none."""

    def __call__(
        self, fixed: Image, moving: Sequence[Image], pair: Pair, start: Tensor | None
    ) -> Work:
        """Return what the network sees."""
        ...


class IsotropicFrame:
    """The fixed image's field of view with equal steps along every axis.

    The step is `spacing` mm, or the fixed image's finest; it grows when the lattice would hold more
    than `most_voxels`. A grid that is isotropic to 5 % already is used as it is.
    """

    def __init__(self, spacing: float | None = None, most_voxels: int = 320**3) -> None:
        self.spacing = spacing
        self.most_voxels = most_voxels

    def __call__(
        self, fixed: Image, moving: Sequence[Image], pair: Pair, start: Tensor | None
    ) -> Work:
        """Return fixed and moving images on the isotropic lattice."""
        return _in_world(self.grid(fixed.grid), fixed, moving, pair, start)

    def grid(self, fixed: Grid) -> Grid:
        """Return the lattice for a fixed image."""
        step = self.spacing or min(fixed.spacing)
        volume = fixed.voxels * fixed.spacing[0] * fixed.spacing[1] * fixed.spacing[2]
        step = max(step, (volume / self.most_voxels) ** (1 / 3))
        if max(max(s / step, step / s) for s in fixed.spacing) < 1.05:
            return fixed
        return fixed.with_spacing((step, step, step))


class NativeFrame:
    """The fixed image's own grid, however anisotropic."""

    def __call__(
        self, fixed: Image, moving: Sequence[Image], pair: Pair, start: Tensor | None
    ) -> Work:
        """Return the fixed image as it is and the moving images on its grid."""
        return _in_world(fixed.grid, fixed, moving, pair, start)


class ResizedFrame:
    """Every image resized to one shape, each from its own field of view, as uniGradICON does.

    Without a start the moving image is only brought to the fixed image's axis order, and the ratio
    of the fields of view is part of the map. With a start it is first read on the fixed grid; with
    `crop` both are, on the part of it that both fields of view hold. With `average` blocks of an
    image that is at least twice as fine are averaged first, where uniGradICON picks voxels.
    """

    def __init__(self, shape: Sequence[int], *, crop: bool = False, average: bool = False) -> None:
        self.shape = tuple(int(n) for n in shape)
        self.crop = crop
        self.average = average

    def on(self, shape: Sequence[int]) -> ResizedFrame:
        """Return the frame of the same fields of view on another lattice, averaging."""
        return ResizedFrame(shape, crop=self.crop, average=True)

    def __call__(
        self, fixed: Image, moving: Sequence[Image], pair: Pair, start: Tensor | None
    ) -> Work:
        """Return both images, resized."""
        if self.crop:
            start = torch.eye(4, dtype=torch.float64) if start is None else start
            part = shared_part(fixed.grid, moving[0].grid, start)
            native = _in_world(part, fixed, moving, pair, start)
            return self._resized(native, (fixed.grid, moving[0].grid))
        if start is not None:
            return self._resized(_in_world(fixed.grid, fixed, moving, pair, start))
        grid = fixed.grid.resize(self.shape)
        if len(moving) != 1:
            raise UserError(
                "this model registers one moving image at a time; "
                f"{len(moving)} were given: name one of them"
            )
        data, place = match_axes(moving[0].data, moving[0].grid, fixed.grid)
        affine = place.resize(self.shape).affine @ grid.inverse
        image = torch.stack([self._resize(d[None, None])[0, 0] for d in (data, fixed.data)])
        masks = None
        if pair.fixed_mask is not None and pair.moving_mask is not None:
            other = match_axes(pair.moving_mask.data, pair.moving_mask.grid, fixed.grid)[0]
            pieces = [_resize_masks(_binary(m), self.shape) for m in (other, pair.fixed_mask.data)]
            masks = torch.cat([p for p in pieces if p is not None], dim=1).to(image.device)
        return Work(image[None], grid, affine, masks)

    def _resized(self, work: Work, whole: tuple[Grid, Grid] | None = None) -> Work:
        """Resize what was read on a grid of the fixed world."""
        image, masks = self._resize(work.image), _resize_masks(work.masks, self.shape)
        return Work(image, work.grid.resize(self.shape), work.affine, masks, whole)

    def _resize(self, image: Tensor) -> Tensor:
        if self.average:
            pairs = zip(image.shape[2:], self.shape, strict=True)
            x, y, z = (n // max(1, n // new) for n, new in pairs)
            image = F.adaptive_avg_pool3d(image, (x, y, z))
        return resize(image, self.shape)


class AnatomicalFrame:
    """As `ResizedFrame`, with a number of voxels side to side, back to front and foot to head."""

    def __init__(self, shape: Sequence[int], *, crop: bool = False) -> None:
        self.shape = tuple(int(n) for n in shape)
        self.crop = crop

    def __call__(
        self, fixed: Image, moving: Sequence[Image], pair: Pair, start: Tensor | None
    ) -> Work:
        """Return both images, resized."""
        sizes = dict(zip("RASLPI", self.shape * 2, strict=True))
        shape = [sizes[letter] for letter in fixed.grid.axis_codes]
        return ResizedFrame(shape, crop=self.crop)(fixed, moving, pair, start)


def resize(image: Tensor, shape: Sequence[int]) -> Tensor:
    """Resize [B, C, X, Y, Z] by trilinear interpolation over the same field of view."""
    return F.interpolate(image, size=tuple(shape), mode="trilinear", align_corners=False)


def shared_part(fixed: Grid, moving: Grid, start: Tensor) -> Grid:
    """Return the box of voxels of `fixed` that holds what it shares with the field of `moving`.

    `start` (4x4, RAS+ mm) maps fixed to moving points. The box is right to a 64th of each axis.
    """
    coarse = fixed.resize([min(n, 64) for n in fixed.shape])
    index = affine_index(moving.inverse @ start @ coarse.affine, coarse.shape)
    shared = inside(index, moving.shape)[0, 0]
    share = float(shared.float().mean())
    if share < LEAST_SHARED:
        raise UserError(
            f"the fixed and the moving image share {100 * share:.2g} % of the fixed field of view "
            f"({fixed.describe()}; {moving.describe()}): too little to register; check that the "
            "pair belongs together, try --affine com, or take it whole with --set crop=false"
        )
    change, shape = torch.eye(4, dtype=torch.float64), []
    for axis, (n, steps) in enumerate(zip(fixed.shape, coarse.shape, strict=True)):
        hit = shared.movedim(axis, 0).flatten(1).any(dim=1).nonzero()
        first = int(hit.min()) * n // steps
        stop = -(-(int(hit.max()) + 1) * n // steps)
        change[axis, 3] = first
        shape.append(stop - first)
    return Grid((shape[0], shape[1], shape[2]), fixed.affine @ change)


def carried_on(transform: Transform, grid: Grid) -> Transform:
    """Return a transform with its dense part on `grid`; beyond its own, its border is repeated."""
    if transform.field is None or transform.grid is None:
        return transform
    field = torch.empty(3, *grid.shape, device=transform.device)
    matrix = transform.grid.inverse @ grid.affine
    for start, stop in slabs(grid):
        index = affine_index(matrix, (stop - start, *grid.shape[1:]), start=start)
        field[:, start:stop] = sample(transform.field[None], index.to(field))[0]
    return Transform(transform.affine, field, grid)


def _resize_masks(masks: Tensor | None, shape: Sequence[int]) -> Tensor | None:
    return None if masks is None else F.interpolate(masks, tuple(shape), mode="nearest-exact")


def _binary(mask: Tensor) -> Tensor:
    return (mask > 0).float()[None, None]


def _in_world(
    grid: Grid, fixed: Image, moving: Sequence[Image], pair: Pair, start: Tensor | None
) -> Work:
    """Read every image on a lattice of the fixed world; the moving ones through the start."""
    start = torch.eye(4, dtype=torch.float64) if start is None else start
    channels = [_on(grid, image, Transform(start)) for image in moving]
    channels.append(_on(grid, fixed, Transform.identity()))
    masks = None
    if pair.fixed_mask is not None and pair.moving_mask is not None:
        both = ((pair.moving_mask, Transform(start)), (pair.fixed_mask, Transform.identity()))
        pieces = [warp(m.data[None], m.grid, grid, t, interpolation="nearest") for m, t in both]
        pieces = [pieces[0]] * len(moving) + [pieces[1]]
        masks = (torch.cat(pieces)[None] > 0).float().to(fixed.data.device)
    return Work(torch.stack(channels)[None], grid, start, masks)


def _on(grid: Grid, image: Image, transform: Transform) -> Tensor:
    """Read an image on a grid; where it does not reach, its smallest value stands."""
    if image.grid.same_as(grid) and torch.equal(transform.affine, torch.eye(4).double()):
        return image.data
    data, place = _averaged(image, grid)
    return warp(data[None], place, grid, transform, fill=float(data.min()))[0]


def _averaged(image: Image, grid: Grid) -> tuple[Tensor, Grid]:
    """Average blocks of an image that is at least twice as fine as the grid it will be read on."""
    data, place = match_axes(image.data, image.grid, grid)
    blocks = [
        max(1, min(int(new / old + 0.01), n))
        for old, new, n in zip(place.spacing, grid.spacing, place.shape, strict=True)
    ]
    if max(blocks) == 1:
        return data, place
    shape = [n // b * b for n, b in zip(place.shape, blocks, strict=True)]
    whole = data[: shape[0], : shape[1], : shape[2]]
    pooled = F.avg_pool3d(whole[None, None].float(), blocks)[0, 0]
    return pooled, Grid((shape[0], shape[1], shape[2]), place.affine).resize(pooled.shape)
