"""One image in the contrast of another, so that the local correlation can compare two contrasts.

The value of a tissue in the other image follows from its value, but a voxel on the border of two
tissues may have the value of a third one. Its gradient tells the two apart: every pair of a value
and a gradient magnitude is given the mean of the other image in the same voxels. Tissues that one
image shows alike and the other one does not, such as fat and cortex, are mostly apart: the means
are those of the surroundings of a voxel.

`zoo.networks.recolour` maps values only, as the weights of the networks were trained with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.geometry.sampling import identity_index, sample
from zoo.solvers.fluid.steps import LevelImages, TorchSteps

Shown = Literal["moving", "fixed"]
"""The image that is shown in the contrast of the other one."""

VALUES, EDGES = 48, 12
"""Bins of the values, from 0 to 1, and of the gradient magnitudes, from 0 to `STEEPEST`."""
STEEPEST = 1 / 3
"""The gradient magnitude of the last bin, per voxel; steeper edges are counted there."""
REGION = 32
"""Voxels between the nodes of a lattice; every node has means of its own, from what is around it.

With 24 voxels, the means follow a misalignment; with 64, tissues that are apart share a mean.
"""
_FEW = 20.0
"""Voxels that the mean of the surrounding bins counts for in the mean of a bin."""
_FEW_IN_REGION = 50.0
"""Voxels that the mean of the whole image counts for in the mean of a bin of one node."""
_MOST_VOXELS = 1_500_000
"""Voxels, evenly spread over those that count, from which the means are computed."""
_SLAB = 1 << 18
"""Voxels that are mapped at once, so that the temporary values stay small."""


def transferred(images: LevelImages, displacement: Tensor, shown: Shown) -> LevelImages:
    """Return the images with the one that `shown` names in the contrast of the other one.

    `displacement` [1, 3, X, Y, Z] in voxels, pull-back, aligns the images roughly.
    """
    warped, weight = TorchSteps(images).warped(displacement)
    place = identity_index(images.fixed.shape[2:], device=displacement.device)
    if shown == "fixed":
        features = _features(images.fixed)
        tables = _tables(features, place, warped, weight, images.fixed.shape[2:])
        return replace(images, fixed=_mapped(features, tables))
    features = _features(images.moving)
    index = place + displacement
    seen = sample(features, index)
    tables = _tables(seen, index, images.fixed, weight, images.moving.shape[2:])
    return replace(images, moving=_mapped(features, tables))


def _features(image: Tensor) -> Tensor:
    """Return value and gradient magnitude [1, 2, X, Y, Z] of an image in [0, 1], both in [0, 1]."""
    squares = torch.zeros_like(image)
    for axis in (2, 3, 4):
        squares.add_(torch.gradient(image, dim=axis)[0].square_())
    return torch.cat([image, squares.sqrt_() / STEEPEST], 1).clamp_(0, 1)


def _tables(
    features: Tensor, place: Tensor, target: Tensor, weight: Tensor, shape: Sequence[int]
) -> Tensor:
    """Return the mean of `target` by the features, for every node: [nx, ny, nz, VALUES, EDGES].

    `place` [1, 3, x, y, z] are the positions of the features in an image of `shape`. Sums are
    computed on the CPU, where double precision is available and the order is reproducible.
    """
    counted = (weight.flatten() > 0.5).nonzero()[:, 0]
    counted = counted[:: len(counted) // _MOST_VOXELS + 1]
    values = torch.cat([part[0].flatten(1)[:, counted] for part in (features, target, place)]).cpu()
    whole = _table_of_image(*values[:3])
    nodes = _nodes(shape)
    count, total = torch.zeros(2, nodes[0] * nodes[1] * nodes[2] * VALUES * EDGES)
    for bins, share in _around(values[3:], values[:2], shape):
        count.index_add_(0, bins, share)
        total.index_add_(0, bins, share * values[2])
    count, total = (
        _blurred(sums.view(-1, VALUES, EDGES), 0.7).view(*nodes, VALUES, EDGES)
        for sums in (count, total)
    )
    return ((total + _FEW_IN_REGION * whole) / (count + _FEW_IN_REGION)).to(target)


def _table_of_image(value: Tensor, edge: Tensor, target: Tensor) -> Tensor:
    """Return the mean of `target` (n) by the features, of the whole image: [1, VALUES, EDGES]."""
    target = target.double()
    count, total = (_histogram(value, edge, amount) for amount in (torch.ones_like(target), target))
    mean = total.sum() / count.sum().clamp_min(1)
    few = 1e-3
    around = (_blurred(total, 2.0) + few * mean) / (_blurred(count, 2.0) + few)
    count, total = _blurred(count, 0.7), _blurred(total, 0.7)
    return ((total + _FEW * around) / (count + _FEW)).float()


def _histogram(value: Tensor, edge: Tensor, amount: Tensor) -> Tensor:
    """Sum `amount` into bins, shared linearly by the four around a value: [1, VALUES, EDGES]."""
    out = torch.zeros(VALUES * EDGES, dtype=amount.dtype)
    for bins, share in _surrounding([_bins(value, VALUES), _bins(edge, EDGES)], (VALUES, EDGES)):
        out.index_add_(0, bins, amount * share)
    return out.view(1, VALUES, EDGES)


def _nodes(shape: Sequence[int]) -> tuple[int, int, int]:
    """Return the number of nodes along each axis of an image."""
    x, y, z = (max(2, round(n / REGION) + 1) for n in shape)
    return x, y, z


def _around(
    place: Tensor, features: Tensor, shape: Sequence[int]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the 32 bins around n voxels, in 8 nodes, and the share (n) of each.

    `place` [3, n] are positions in an image of `shape`, and `features` [2, n] lie in [0, 1].
    """
    sizes = (*_nodes(shape), VALUES, EDGES)
    relative = [(axis / max(n - 1, 1)).clamp(0, 1) for axis, n in zip(place, shape, strict=True)]
    pairs = zip((*relative, *features), sizes, strict=True)
    yield from _surrounding([_bins(axis, count) for axis, count in pairs], sizes)


def _surrounding(
    places: Sequence[tuple[Tensor, Tensor]], sizes: Sequence[int]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the flat index of every bin around n points, and the share (n) of each.

    `places` are the bin below and the distance from it along each axis, as `_bins` returns them.
    """
    *others, (low, share) = places
    *first_sizes, size = sizes
    if not others:
        yield low, 1 - share
        yield low + 1, share
        return
    for index, weight in _surrounding(others, first_sizes):
        yield index * size + low, weight * (1 - share)
        yield index * size + low + 1, weight * share


def _bins(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the bin below each value in [0, 1], and the distance from it in bins."""
    position = values * (count - 1)
    low = position.floor().clamp(max=count - 2)
    return low.long(), position - low


def _blurred(histograms: Tensor, sigma: float) -> Tensor:
    """Return histograms [n, VALUES, EDGES], smoothed by a Gaussian of `sigma` bins."""
    offsets = torch.arange(-6, 7, dtype=histograms.dtype)
    taps = torch.exp(-((offsets / sigma) ** 2) / 2)
    taps /= taps.sum()
    smooth = F.conv2d(histograms[:, None], taps.view(1, 1, -1, 1), padding=(6, 0))
    return F.conv2d(smooth, taps.view(1, 1, 1, -1), padding=(0, 6))[:, 0]


def _mapped(features: Tensor, tables: Tensor) -> Tensor:
    """Return the value [1, 1, X, Y, Z] of the tables at the place and features of each voxel."""
    shape = features.shape[2:]
    flat, out = tables.flatten(), features.new_empty(shape)
    rows = max(1, _SLAB // (shape[1] * shape[2]))
    for start in range(0, shape[0], rows):
        slab = features[0, :, start : start + rows]
        place = identity_index(slab.shape[1:], device=slab.device)[0]
        place[0] += start
        found = torch.zeros_like(slab[0].flatten())
        for bins, share in _around(place.flatten(1), slab.flatten(1), shape):
            found.addcmul_(share, flat[bins])
        out[start : start + rows] = found.view(slab.shape[1:])
    return out[None, None]
