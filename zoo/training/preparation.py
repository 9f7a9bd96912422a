"""Preparation of training pairs: the same steps as for inference, plus labels and content masks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from zoo.datasets.pairs import Pair, PairFiles, load_pair
from zoo.geometry import Transform, warp
from zoo.io.volume import Volume
from zoo.registration.axis_order import reordered
from zoo.registration.inferer import PairInferer
from zoo.registration.working_pair import WorkingPair
from zoo.solvers.affine import AffineAlignment


@dataclass(frozen=True)
class PreparedPair:
    """A pair as the network sees it, with the axes in the order of the network.

    `image` [2, X, Y, Z] holds the moving image, then the fixed image. `labels` [2, X, Y, Z] (int32)
    are theirs. `mask` [1, X, Y, Z] is 1 where both images have content.
    """

    name: str
    image: Tensor
    labels: Tensor | None
    mask: Tensor | None

    @property
    def nbytes(self) -> int:
        """The memory of the tensors in bytes."""
        parts = (self.image, self.labels, self.mask)
        return sum(part.nbytes for part in parts if part is not None)


class PairPreparation:
    """Prepares training pairs exactly as `inferer` prepares them for inference.

    The inferer supplies intensities, initial affine alignment, working grid and axis order, so that
    training and inference cannot differ. The alignment of a pair is computed once.
    """

    def __init__(self, inferer: PairInferer) -> None:
        self.inferer = inferer
        self.alignments: dict[PairFiles, AffineAlignment | None] = {}

    def __call__(
        self, files: PairFiles, *, labels: bool = False, mask: bool = False
    ) -> PreparedPair:
        """Load a pair and return it prepared, with label maps and content mask on request."""
        images = replace(
            files, fixed_labels=None, moving_labels=None, fixed_points=None, moving_points=None
        )
        wanted = replace(files, fixed_points=None, moving_points=None) if labels else images
        pair = load_pair(wanted)
        if images not in self.alignments:
            self.alignments[images] = self.inferer.initial_alignment(pair)
        work = self.inferer.prepare(pair, self.alignments[images])
        order = self.inferer.axis_order(work.grid)
        label_maps = _label_maps(pair, work)
        content = _content_mask(pair, work) if mask else None
        return PreparedPair(
            pair.name,
            reordered(work.image, order)[0].cpu(),
            None if label_maps is None else reordered(label_maps[None], order)[0],
            None if content is None else reordered(content[None], order)[0],
        )


def _label_maps(pair: Pair, work: WorkingPair) -> Tensor | None:
    """Return the labels [2, X, Y, Z] of the moving and the fixed image on the working grid."""
    if pair.moving_labels is None or pair.fixed_labels is None:
        return None

    def on_grid(labels: Volume, affine: Tensor) -> Tensor:
        data = labels.data[None].int()
        return warp(data, labels.grid, work.grid, Transform(affine), interpolation="nearest")

    identity = torch.eye(4, dtype=torch.float64)
    return torch.cat(
        [on_grid(pair.moving_labels, work.affine), on_grid(pair.fixed_labels, identity)]
    )


def _content_mask(pair: Pair, work: WorkingPair) -> Tensor:
    """Return 1 where a voxel of the fixed image lies in the moving image and in both masks."""
    if work.masks is not None:
        return work.masks[0].prod(0, keepdim=True).cpu()
    grid = pair.moving[0].grid
    ones = torch.ones(1, *grid.shape)
    return warp(ones, grid, work.grid, Transform(work.affine), interpolation="nearest")
