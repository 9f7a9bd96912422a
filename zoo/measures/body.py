"""The body of an image: the region that differs from the background, and its centre of mass.

The body is what differs from the border of the image, brighter or darker. Hence an inverted
contrast, the air around a patient and the zeros of a skull-stripped image all count as background.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.errors import UserError
from zoo.geometry.grid import Grid
from zoo.measures.padding import find_data
from zoo.measures.robust import robust_values

CUT = 0.3
"""Part of the largest section of a body from which a section at the end of the data is a cut."""

CUT_VOXELS = 500_000
"""Voxels of the field of view at which cuts are looked for; in larger ones, surfaces are planes."""


@dataclass(frozen=True)
class Body:
    """An image scaled to [0, 1] and the mask of its body, on one grid.

    `image` and `mask` are float32 [X, Y, Z]. `centre` is the centre of mass of the mask, (3,) in
    RAS+ mm. `region`, float32 [X, Y, Z] from 0 to 1, is where the image counts; None is everywhere.
    """

    image: Tensor
    mask: Tensor
    grid: Grid
    centre: Tensor
    region: Tensor | None = None

    def at(self, spacing: float) -> Body:
        """Return the body averaged over whole numbers of voxels to about `spacing` mm, smoothed.

        Values outside the region have no influence on those inside.
        """
        mask, grid = pool(self.mask, self.grid, spacing)
        if self.region is None:
            return Body(smooth(pool(self.image, self.grid, spacing)[0]), mask, grid, self.centre)
        region = pool(self.region, self.grid, spacing)[0]
        weighted = smooth(pool(self.image * self.region, self.grid, spacing)[0])
        image = weighted / smooth(region).clamp_min(1e-6)
        return Body(image.clamp(0, 1), mask, grid, self.centre, region)

    def is_cut(self, *, at_border: bool = True) -> bool:
        """Return whether a plane along the grid, where the data end, cuts off much of the body.

        With `at_border` the data also end at the border of the grid.
        """
        body = self.mask > 0
        data = torch.ones_like(body) if self.region is None else self.region > 0.5
        for axis in range(3):
            inside, known = body.movedim(axis, 0), data.movedim(axis, 0)
            beyond = torch.full_like(known[:1], not at_border)
            sections = inside.sum(dim=(1, 2))
            for neighbour in (torch.cat([beyond, known[:-1]]), torch.cat([known[1:], beyond])):
                exposed = (inside & ~neighbour).sum(dim=(1, 2))
                if float(exposed.max()) > CUT * float(sections.max()):
                    return True
        return False


def find_body(
    image: Tensor,
    grid: Grid,
    spacing: float,
    name: str,
    region: Tensor | None = None,
    data: Tensor | None = None,
) -> Body:
    """Average `image` [X, Y, Z] to about `spacing` mm, scale it to [0, 1] and find its body.

    `name` is the role of the image in error messages, "fixed" or "moving". With a `region`
    [X, Y, Z] the body is where it is not 0, and values elsewhere are ignored. `data` [X, Y, Z] is
    False in the padding of the image (`zoo.measures.padding.find_data`), which is no part of the
    body and is ignored as well.
    """
    if tuple(image.shape) != grid.shape:
        raise ValueError(
            f"the {name} image has the shape {tuple(image.shape)}, but its grid has {grid.shape}"
        )
    image = robust_values(image.detach().float())
    if region is not None:
        counts = region > 0 if data is None else (region > 0) & data
        return _body_in_region(image, counts, grid, spacing, name)
    if data is not None:
        return _body_in_data(image, data, grid, spacing, name)
    image, grid = pool(image, grid, spacing)
    _require_finite(image, name)
    image = rescale_by_percentiles(image, name)
    mask = _differs_from_border(image)
    return Body(image, mask, grid, _centre(mask, grid))


def find_cut_data(image: Tensor, grid: Grid, name: str) -> Tensor | None:
    """Return where `image` [X, Y, Z] has data if padding cuts off its body, else None.

    Padding whose edge is that of the anatomy, as around a brain without its skull, is background.
    """
    data = find_data(image)
    if data is None:
        return None
    body = find_body(image, grid, spacing_for_voxels(grid, CUT_VOXELS), name, data=data)
    return data if body.is_cut(at_border=False) else None


def _body_in_region(image: Tensor, region: Tensor, grid: Grid, spacing: float, name: str) -> Body:
    """Return the body of an image that counts only in `region` (bool)."""
    mean, share, pooled_grid = _pool_in(image, region, grid, spacing, name)
    mask = (share > 0.5).float()
    if not mask.any():
        raise UserError(
            f"the mask of the {name} image covers {int(region.sum())} of {region.numel()} voxels, "
            "too few for an alignment; give a larger mask or none"
        )
    mean = rescale_by_percentiles(mean, name, mean[mask > 0])
    return Body(mean, mask, pooled_grid, _centre(mask, pooled_grid), mask)


def _body_in_data(image: Tensor, data: Tensor, grid: Grid, spacing: float, name: str) -> Body:
    """Return the body of an image with padding outside `data` (bool).

    The padding counts as background of the darkest or the brightest value of the data, because
    nothing else may surround the body, as in an image without a skull.
    """
    mean, share, pooled_grid = _pool_in(image, data, grid, spacing, name)
    known = share > 0.5
    if not known.any():
        known = share > 0
    padding = image[~data][:1]
    values = torch.where(known, mean, padding.clamp(mean[known].min(), mean[known].max()))
    values = rescale_by_percentiles(values, name, values[known])
    mask = _differs_from_border(values) * known
    if not mask.any():
        mask = known.float()
    return Body(values, mask, pooled_grid, _centre(mask, pooled_grid), known.float())


def _pool_in(
    image: Tensor, region: Tensor, grid: Grid, spacing: float, name: str
) -> tuple[Tensor, Tensor, Grid]:
    """Return the mean of an image in `region` (bool) over blocks, the region's share, the grid."""
    _require_finite(image, name)
    share, pooled_grid = pool(region.float(), grid, spacing)
    mean = pool(image * region, grid, spacing)[0] / share.clamp_min(1e-6)
    return mean, share, pooled_grid


def _differs_from_border(image: Tensor) -> Tensor:
    """Return where an image [X, Y, Z] in [0, 1] differs from the median of its border: 0 or 1."""
    border = torch.cat([image.select(k, end).flatten() for k in range(3) for end in (0, -1)])
    contrast = (image - border.median()).abs()
    return (contrast >= otsu_threshold(contrast)).float()


def _centre(mask: Tensor, grid: Grid) -> Tensor:
    """Return the centre of mass of a mask of 0 and 1, (3,) in RAS+ mm."""
    return grid.to_world(mask.nonzero().double().mean(dim=0)[None])[0]


def _require_finite(image: Tensor, name: str) -> None:
    if not torch.isfinite(image).all():
        raise UserError(
            f"the {name} image contains NaN or infinity; replace these values with the value of "
            "the background"
        )


def rescale_by_percentiles(image: Tensor, name: str, values: Tensor | None = None) -> Tensor:
    """Clip an image to the percentiles 0.1 and 99.9 of `values` and scale it to [0, 1].

    `values` (n,) are all values of the image unless they are given.
    """
    values = image.flatten() if values is None else values
    low, high = (
        float(values.kthvalue(1 + round(q * (len(values) - 1)))[0]) for q in (0.001, 0.999)
    )
    if not high > low:
        low, high = float(values.min()), float(values.max())
    if not high > low:
        raise UserError(
            f"the {name} image is constant (every voxel is {low:g}), so there is nothing to "
            "align; check that it is the right file"
        )
    return ((image - low) / (high - low)).clamp_(0, 1)


def otsu_threshold(values: Tensor, bins: int = 64) -> float:
    """Return Otsu's threshold, which best separates `values` in [0, 1] into two classes."""
    counts = torch.histc(values, bins, 0, 1).double()
    centres = (torch.arange(bins, dtype=torch.float64) + 0.5) / bins
    below = counts.cumsum(0)
    above = counts.sum() - below
    total = (counts * centres).cumsum(0)
    difference = total / below.clamp_min(1) - (total[-1] - total) / above.clamp_min(1)
    best = int((below * above * difference**2).argmax())
    return (best + 1) / bins


def spacing_for_voxels(grid: Grid, voxels: int) -> float:
    """Return the side in mm of cubic voxels of which `voxels` fill the field of view of `grid`."""
    volume = float(torch.linalg.det(grid.linear).abs()) * grid.voxels
    return float((volume / voxels) ** (1 / 3))


def pool(image: Tensor, grid: Grid, spacing: float) -> tuple[Tensor, Grid]:
    """Average `image` [X, Y, Z] over blocks of whole voxels whose sides are about `spacing` mm.

    Voxels that do not fill a block are left out, half of them at each end of the axis.
    """
    steps = [
        max(1, min(n, round(spacing / s))) for n, s in zip(grid.shape, grid.spacing, strict=True)
    ]
    if max(steps) == 1:
        return image, grid
    change = torch.eye(4, dtype=torch.float64)
    for k, step in enumerate(steps):
        blocks, rest = divmod(image.shape[k], step)
        image = image.narrow(k, rest // 2, blocks * step)
        change[k, k] = step
        change[k, 3] = rest // 2 + (step - 1) / 2
    pooled = F.avg_pool3d(image[None, None], steps)[0, 0]
    shape = (pooled.shape[0], pooled.shape[1], pooled.shape[2])
    return pooled, Grid(shape, grid.affine @ change)


def smooth(image: Tensor) -> Tensor:
    """Filter `image` [X, Y, Z] with (1 2 1) / 4 along each axis; the border is repeated."""
    for axis in range(3):
        n = image.shape[axis]
        before = torch.cat([image.narrow(axis, 0, 1), image.narrow(axis, 0, n - 1)], axis)
        after = torch.cat([image.narrow(axis, 1, n - 1), image.narrow(axis, n - 1, 1)], axis)
        image = 0.5 * image + 0.25 * (before + after)
    return image
