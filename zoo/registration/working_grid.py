"""Frames: the rules by which a pair is brought onto one working grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.datasets.pairs import Pair
from zoo.errors import UserError
from zoo.geometry import Grid, Transform, match_axes, warp
from zoo.geometry.sampling import affine_index, inside, sample_nearest
from zoo.geometry.transform import slabs
from zoo.io.volume import Volume
from zoo.measures import isotropic_spacing
from zoo.registration.working_pair import Image, WorkingPair

MIN_OVERLAP = 1 / 64
"""A smaller overlap, as a fraction of the fixed field of view, is not registered."""


class Frame(Protocol):
    """Brings the fixed and the moving images of a pair onto one working grid."""

    def __call__(
        self, fixed: Image, moving: Sequence[Image], pair: Pair, initial_affine: Tensor | None
    ) -> WorkingPair:
        """Sample all images on the working grid, the moving ones through `initial_affine`.

        `initial_affine` is 4x4, RAS+ mm, from fixed to moving points; None stands for none. The
        masks are taken from `pair`.
        """
        ...


class IsotropicFrame:
    """The fixed image's field of view with the same voxel size along every axis.

    The voxel size is `spacing` in mm, by default `zoo.measures.isotropic_spacing` of the fixed
    image; it grows when the grid would have more than `most_voxels` voxels. A grid whose spacings
    differ by less than 5 % is used as it is.
    """

    def __init__(self, spacing: float | None = None, most_voxels: int = 320**3) -> None:
        self.spacing = spacing
        self.most_voxels = most_voxels

    def __call__(
        self, fixed: Image, moving: Sequence[Image], pair: Pair, initial_affine: Tensor | None
    ) -> WorkingPair:
        """Sample the fixed and the moving images on the isotropic grid."""
        return _sampled_pair(self.grid(fixed.grid), fixed, moving, pair, initial_affine)

    def grid(self, fixed: Grid) -> Grid:
        """Return the isotropic grid for a fixed image."""
        step = self.spacing or isotropic_spacing(fixed)
        volume = fixed.voxels * fixed.spacing[0] * fixed.spacing[1] * fixed.spacing[2]
        step = max(step, (volume / self.most_voxels) ** (1 / 3))
        if max(max(s / step, step / s) for s in fixed.spacing) < 1.05:
            return fixed
        return fixed.with_spacing((step, step, step))


class NativeFrame:
    """The grid of the fixed image itself, however anisotropic."""

    def __call__(
        self, fixed: Image, moving: Sequence[Image], pair: Pair, initial_affine: Tensor | None
    ) -> WorkingPair:
        """Sample the moving images on the grid of the fixed image."""
        return _sampled_pair(fixed.grid, fixed, moving, pair, initial_affine)


class ResizedFrame:
    """Every image resized to one shape, each from its own field of view, as uniGradICON does.

    Without an initial affine alignment the moving image is only brought to the axis order of the
    fixed image, and the ratio of the two fields of view becomes part of the transform. With an
    initial affine alignment the moving image is first sampled on the grid of the fixed image. With
    `crop` both images are restricted to the overlap of their fields of view. With `average`, blocks
    of voxels are averaged before an image is resized to half its size or less; uniGradICON does not
    average.
    """

    def __init__(self, shape: Sequence[int], *, crop: bool = False, average: bool = False) -> None:
        self.shape = tuple(int(n) for n in shape)
        self.crop = crop
        self.average = average

    def on(self, shape: Sequence[int]) -> ResizedFrame:
        """Return a frame with the same fields of view and another shape, which averages."""
        return ResizedFrame(shape, crop=self.crop, average=True)

    def __call__(
        self, fixed: Image, moving: Sequence[Image], pair: Pair, initial_affine: Tensor | None
    ) -> WorkingPair:
        """Resize both images."""
        if self.crop:
            if initial_affine is None:
                initial_affine = torch.eye(4, dtype=torch.float64)
            box = overlap_box(fixed.grid, moving[0].grid, initial_affine)
            native = _sampled_pair(box, fixed, moving, pair, initial_affine)
            return self._resized(native, (fixed.grid, moving[0].grid))
        if initial_affine is not None:
            return self._resized(_sampled_pair(fixed.grid, fixed, moving, pair, initial_affine))
        if len(moving) != 1:
            raise UserError(
                "this model registers one moving image at a time; "
                f"{len(moving)} were given: name one of them"
            )
        return self._each_from_its_own_view(fixed, moving[0], pair)

    def _each_from_its_own_view(self, fixed: Image, moving: Image, pair: Pair) -> WorkingPair:
        """Resize both images without sampling one on the grid of the other."""
        grid = fixed.grid.resize(self.shape)
        data, matched = match_axes(moving.data, moving.grid, fixed.grid)
        affine = matched.resize(self.shape).affine @ grid.inverse
        image = torch.stack([self._resize(d[None, None])[0, 0] for d in (data, fixed.data)])
        masks = None
        if has_masks(pair):
            both = [
                _resized_mask(mask, fixed.grid, self.shape)
                for mask in (pair.moving_mask, pair.fixed_mask)
            ]
            masks = torch.stack(both)[None].to(image.device)
        return WorkingPair(image[None], grid, affine, masks)

    def _resized(
        self, native: WorkingPair, full_grids: tuple[Grid, Grid] | None = None
    ) -> WorkingPair:
        """Resize a pair that was sampled on one grid."""
        image = self._resize(native.image)
        masks = None if native.masks is None else _resize_mask(native.masks, self.shape)
        return WorkingPair(image, native.grid.resize(self.shape), native.affine, masks, full_grids)

    def _resize(self, image: Tensor) -> Tensor:
        if self.average:
            pairs = zip(image.shape[2:], self.shape, strict=True)
            x, y, z = (n // max(1, n // new) for n, new in pairs)
            image = F.adaptive_avg_pool3d(image, (x, y, z))
        return resize(image, self.shape)


class AnatomicalFrame:
    """A `ResizedFrame` whose shape is given along anatomical axes.

    `shape` counts voxels from side to side, from back to front and from foot to head.
    """

    def __init__(self, shape: Sequence[int], *, crop: bool = False) -> None:
        self.shape = tuple(int(n) for n in shape)
        self.crop = crop

    def __call__(
        self, fixed: Image, moving: Sequence[Image], pair: Pair, initial_affine: Tensor | None
    ) -> WorkingPair:
        """Resize both images."""
        sizes = dict(zip("RASLPI", self.shape * 2, strict=True))
        shape = [sizes[letter] for letter in fixed.grid.axis_codes]
        return ResizedFrame(shape, crop=self.crop)(fixed, moving, pair, initial_affine)


def resize(image: Tensor, shape: Sequence[int]) -> Tensor:
    """Resize [B, C, X, Y, Z] by trilinear interpolation over the same field of view."""
    return F.interpolate(image, size=tuple(shape), mode="trilinear", align_corners=False)


def overlap_box(fixed: Grid, moving: Grid, initial_affine: Tensor) -> Grid:
    """Return the smallest box of voxels of `fixed` that contains its overlap with `moving`.

    `initial_affine` (4x4, RAS+ mm) maps fixed to moving points. The box is exact to 1/64 of the
    length of each axis.
    """
    coarse = fixed.resize([min(n, 64) for n in fixed.shape])
    index = affine_index(moving.inverse @ initial_affine @ coarse.affine, coarse.shape)
    overlap = inside(index, moving.shape)[0, 0]
    fraction = float(overlap.float().mean())
    if fraction < MIN_OVERLAP:
        raise UserError(
            f"the fixed and the moving image share {100 * fraction:.2g} % of the fixed field of "
            f"view ({fixed.describe()}; {moving.describe()}), which is too little to register: "
            "check that the pair belongs together, try --affine com, or register the whole images "
            "with --set crop=false"
        )
    offset, shape = torch.eye(4, dtype=torch.float64), []
    for axis, (n, steps) in enumerate(zip(fixed.shape, coarse.shape, strict=True)):
        covered = overlap.movedim(axis, 0).flatten(1).any(dim=1).nonzero()
        first = int(covered.min()) * n // steps
        stop = -(-(int(covered.max()) + 1) * n // steps)
        offset[axis, 3] = first
        shape.append(stop - first)
    return Grid((shape[0], shape[1], shape[2]), fixed.affine @ offset)


def has_masks(pair: Pair) -> bool:
    """Return whether a mask of the pair excludes any voxel. A mask of ones is the same as none."""
    masks = (pair.fixed_mask, pair.moving_mask)
    return any(mask is not None and not bool((mask.data > 0).all()) for mask in masks)


def _resize_mask(mask: Tensor, shape: Sequence[int]) -> Tensor:
    return F.interpolate(mask, tuple(shape), mode="nearest-exact")


def _resized_mask(mask: Volume | None, fixed: Grid, shape: Sequence[int]) -> Tensor:
    """Return a mask in the axis order of `fixed`, resized to `shape`; ones without a mask."""
    if mask is None:
        return torch.ones(tuple(shape))
    data = match_axes(mask.data, mask.grid, fixed)[0]
    return _resize_mask(_binary(data), shape)[0, 0]


def _binary(mask: Tensor) -> Tensor:
    return (mask > 0).float()[None, None]


def _sampled_pair(
    grid: Grid, fixed: Image, moving: Sequence[Image], pair: Pair, initial_affine: Tensor | None
) -> WorkingPair:
    """Sample every image on a grid in the fixed world, the moving ones through the affine."""
    affine = torch.eye(4, dtype=torch.float64) if initial_affine is None else initial_affine
    channels = [_sample_on(grid, image, Transform(affine)) for image in moving]
    channels.append(_sample_on(grid, fixed, Transform.identity()))
    masks = None
    if has_masks(pair):
        of_moving = _mask_on(grid, pair.moving_mask, Transform(affine))
        of_fixed = _mask_on(grid, pair.fixed_mask, Transform.identity())
        masks = torch.stack([of_moving] * len(moving) + [of_fixed])[None].to(fixed.data.device)
    return WorkingPair(torch.stack(channels)[None], grid, affine, masks)


def _mask_on(grid: Grid, mask: Volume | None, transform: Transform) -> Tensor:
    """Sample a mask on a grid: [X, Y, Z], 0 or 1; ones without a mask.

    Outside its own grid the mask is continued with its outermost voxels, so that a mask that
    excludes a few voxels acts like a mask of ones everywhere else.
    """
    if mask is None:
        return torch.ones(grid.shape)
    data = (mask.data > 0).float()
    out = torch.empty(grid.shape)
    for start, stop in slabs(grid):
        index = transform.moving_index(grid, mask.grid, start, stop)
        last = torch.tensor(data.shape).view(1, 3, 1, 1, 1) - 1
        index = torch.minimum(index.clamp_min(0), last)
        out[start:stop] = sample_nearest(data[None, None], index)[0, 0]
    return out


def _sample_on(grid: Grid, image: Image, transform: Transform) -> Tensor:
    """Sample an image on a grid; outside the image, use its smallest value."""
    if image.grid.same_as(grid) and torch.equal(transform.affine, torch.eye(4).double()):
        return image.data
    data, data_grid = _averaged(image, _seen_from(image.grid, grid, transform.affine))
    return warp(data[None], data_grid, grid, transform, fill=float(data.min()))[0]


def _seen_from(moving: Grid, grid: Grid, affine: Tensor) -> Grid:
    """Return `grid` in the world of `moving` where a header fault makes the two worlds differ.

    An `affine` that rotates by less than 60 degrees and stretches by less than a factor of two
    leaves the order of axes and the number of voxels to average as they are.
    """
    lengths = torch.linalg.svdvals(affine[:3, :3])
    rotation = affine[:3, :3] / lengths.mean()
    if 0.5 < float(lengths.min()) <= float(lengths.max()) < 2 and float(rotation.trace()) > 2:
        return grid
    return grid.moved(affine)


def _averaged(image: Image, grid: Grid) -> tuple[Tensor, Grid]:
    """Average blocks of an image that is at least twice as fine as the grid it is sampled on."""
    data, matched = match_axes(image.data, image.grid, grid)
    blocks = [
        max(1, min(int(new / old + 0.01), n))
        for old, new, n in zip(matched.spacing, grid.spacing, matched.shape, strict=True)
    ]
    if max(blocks) == 1:
        return data, matched
    shape = [n // b * b for n, b in zip(matched.shape, blocks, strict=True)]
    cropped = data[: shape[0], : shape[1], : shape[2]]
    pooled = F.avg_pool3d(cropped[None, None].float(), blocks)[0, 0]
    return pooled, Grid((shape[0], shape[1], shape[2]), matched.affine).resize(pooled.shape)
