"""One of the two images of an affine alignment, without its padding."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from zoo.geometry.grid import Grid
from zoo.measures.body import Body, find_body, find_cut_data
from zoo.measures.padding import box_of


@dataclass(frozen=True)
class Scan:
    """An image [X, Y, Z] on its grid.

    `mask` excludes some voxels, and `data` (bool) is False in padding; None excludes nothing.
    """

    image: Tensor
    grid: Grid
    mask: Tensor | None = None
    data: Tensor | None = None

    def without_padding(self, name: str) -> Scan:
        """Return the scan without padding that cuts off its body.

        It is cropped to the box in which the image counts. `name` is "fixed" or "moving".
        """
        data = find_cut_data(self.image, self.grid, name)
        counts = data
        if self.mask is not None:
            counts = self.mask > 0 if data is None else data & (self.mask > 0)
        if counts is None or not counts.any():
            return self
        box, grid = box_of(counts, self.grid)
        mask = None if self.mask is None else self.mask[box]
        data = None if data is None or data[box].all() else data[box]
        return Scan(self.image[box], grid, mask, data)

    def without(self, fault: Tensor) -> Scan:
        """Return the scan placed as without a `fault`, 4x4, RAS+ mm."""
        return replace(self, grid=self.grid.moved(torch.linalg.inv(fault)))

    def body(self, spacing: float, name: str) -> Body:
        """Return the body of the scan; `name` is its role, "fixed" or "moving"."""
        return find_body(self.image, self.grid, spacing, name, self.mask, self.data)
