"""A pair on its working grid: what a network or a solver registers, and the way back to the world.

Networks and solvers return displacements in voxels of the working grid. `WorkingPair.transform` is
the one place where such a displacement becomes a `Transform` of world points.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from zoo.datasets.pairs import Pair
from zoo.geometry import Grid, Transform
from zoo.geometry.sampling import affine_index, sample
from zoo.geometry.transform import slabs
from zoo.io.volume import Volume
from zoo.measures import find_cut_data, find_data
from zoo.solvers.masks import fill_outside_mask

OUTLINE = 0.8
"""Fraction of the body that a mask contains if it outlines the body."""


@dataclass(frozen=True)
class Image:
    """An image [X, Y, Z] float32 on its grid, with the intensities that the model expects."""

    data: Tensor
    grid: Grid


@dataclass(frozen=True)
class WorkingPair:
    """The images of a pair on one working grid.

    Attributes:
        image: [1, M + 1, X, Y, Z]; the M moving images come first, the fixed image last.
        grid: The working grid in the world of the fixed image.
        affine: 4x4, RAS+ mm, from fixed to moving points. Voxel i of a moving channel was sampled
            at the moving world point `affine @ grid.affine @ i`.
        masks: 0 or 1, shaped like `image`; several moving images share one mask. None without
            masks.
        full_grids: The grids of the fixed and of the moving image where the working grid covers
            only a part of them. Transforms are extended to these grids.
        labels: [1, 2, X, Y, Z], of the moving and of the fixed image, where a loss needs them.
        network_input: The images and the field of view of `image` on the grid that the network was
            trained on, sampled from the files' voxels in one step. None for a network that takes
            `image` itself.
    """

    image: Tensor
    grid: Grid
    affine: Tensor
    masks: Tensor | None = None
    full_grids: tuple[Grid, Grid] | None = None
    labels: Tensor | None = None
    network_input: Tensor | None = None

    def transform(self, displacement: Tensor) -> Transform:
        """Convert a displacement [1, 3, X, Y, Z] in voxels to the transform fixed -> moving."""
        transform = Transform.from_voxels(displacement[0], self.grid, self.affine)
        return transform if self.full_grids is None else extended(transform, self.full_grids[0])

    def reverse_transform(self, displacement: Tensor) -> Transform:
        """Convert the displacement of the swapped pair to the transform moving -> fixed."""
        grid = self.grid.moved(self.affine)
        transform = Transform.from_voxels(displacement[0], grid, torch.linalg.inv(self.affine))
        return transform if self.full_grids is None else extended(transform, self.full_grids[1])


def extended(transform: Transform, grid: Grid) -> Transform:
    """Return `transform` with its dense part on `grid`; outside its own grid, repeat its border."""
    if transform.field is None or transform.grid is None:
        return transform
    field = torch.empty(3, *grid.shape, device=transform.device)
    matrix = transform.grid.inverse @ grid.affine
    for start, stop in slabs(grid):
        index = affine_index(
            matrix, (stop - start, *grid.shape[1:]), start=start, device=field.device
        )
        field[:, start:stop] = sample(transform.field[None], index)[0]
    return Transform(transform.affine, field, grid)


def keep_background(pair: Pair) -> Pair:
    """Return `pair` with masks that keep the background of an image if they outline its body.

    A mask of a brain without its skull would otherwise hide the edge of the brain, which is the
    strongest structure that the images share. A mask of a part of the body stays as it is, and so
    does one whose background is padding that cuts off the body.
    """
    fixed_mask = _with_background(pair.fixed, pair.fixed_mask, "fixed")
    if len(pair.moving) != 1:
        return replace(pair, fixed_mask=fixed_mask)
    moving_mask = _with_background(pair.moving[0], pair.moving_mask, "moving")
    return replace(pair, fixed_mask=fixed_mask, moving_mask=moving_mask)


def _with_background(volume: Volume, mask: Volume | None, name: str) -> Volume | None:
    if mask is None:
        return None
    image = volume.data.float()
    body = find_data(image)
    if body is None or mask.data.shape != body.shape:
        return mask
    inside = mask.data > 0
    if float((inside & body).sum()) < OUTLINE * float(body.sum()):
        return mask
    if find_cut_data(image, volume.grid, name) is not None:
        return mask
    return replace(mask, data=(inside | ~body).to(mask.data.dtype))


def exclude_padding(pair: Pair, *, fill: bool = False) -> Pair:
    """Return `pair` with masks that also exclude padding, if the padding cuts off the body.

    The zeros around a brain without its skull, for example, are constant as well, but their edge is
    that of the anatomy, and they stay. With `fill`, padding is replaced by the nearest data, so
    that interpolation does not mix the two. Several moving images share one mask and are not
    changed.
    """
    fixed, fixed_mask = _without_padding(pair.fixed, pair.fixed_mask, "fixed", fill)
    if len(pair.moving) != 1:
        return replace(pair, fixed=fixed, fixed_mask=fixed_mask)
    moving, moving_mask = _without_padding(pair.moving[0], pair.moving_mask, "moving", fill)
    return replace(
        pair, fixed=fixed, moving=(moving,), fixed_mask=fixed_mask, moving_mask=moving_mask
    )


def _without_padding(
    volume: Volume, mask: Volume | None, name: str, fill: bool
) -> tuple[Volume, Volume | None]:
    """Return an image, filled or not, and its mask without the padding that cuts off its body."""
    image = volume.data.float()
    data = find_cut_data(image, volume.grid, name)
    if data is None:
        return volume, mask
    if fill:
        volume = replace(volume, data=fill_outside_mask(image, data.float()))
    if mask is not None:
        data = data & (mask.data > 0)
    return volume, replace(mask or volume, data=data.float())
