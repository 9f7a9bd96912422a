"""Random views of one pair, as GradICON networks are trained on them.

Axes are permuted and flipped for both images alike; each image then gets an affine map of its own,
the identity plus noise. Tian et al., "GradICON" (CVPR 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zoo.geometry.displacement_maps import last_index, unit_grid
from zoo.geometry.sampling import sample, sample_nearest


@dataclass(frozen=True)
class RandomView:
    """How one pair is looked at: an order of axes and flips for both, a 3x4 matrix for each side.

    A matrix takes points of the cube [-1, 1] of the view to those of the image, in the order of the
    array's axes; `sides` holds that of the moving and that of the fixed image.
    """

    order: tuple[int, int, int]
    flips: tuple[int, ...]
    sides: tuple[Tensor, Tensor]

    @classmethod
    def draw(
        cls, random: np.random.Generator, shape: Sequence[int], noise: float = 0.05
    ) -> RandomView:
        """Draw a view of images of `shape`; axes of unequal length keep their places."""
        order = list(range(3))
        for n in sorted(set(shape)):
            alike = [axis for axis in range(3) if shape[axis] == n]
            for axis, other in zip(alike, random.permutation(alike).tolist(), strict=True):
                order[axis] = other
        flips = [axis for axis in range(3) if random.random() < 0.5]
        matrices = [
            torch.eye(3, 4) + noise * torch.from_numpy(random.standard_normal((3, 4))).float()
            for _ in range(2)
        ]
        return cls((order[0], order[1], order[2]), tuple(flips), (matrices[0], matrices[1]))

    def image(self, image: Tensor, side: int) -> Tensor:
        """Return channels [C, X, Y, Z] of the moving (0) or fixed (1) side; edges repeat."""
        turned = self._turned(image)
        return sample(turned[None], self._points(turned.shape[1:], side))[0]

    def labels(self, labels: Tensor, side: int) -> Tensor:
        """Return labels [C, X, Y, Z] of a side, those of the nearest voxels."""
        turned = self._turned(labels)
        points = self._points(turned.shape[1:], side)
        last = last_index(turned.shape[1:], points)
        return sample_nearest(turned[None], torch.minimum(points.clamp_min(0), last))[0]

    def _turned(self, channels: Tensor) -> Tensor:
        """Permute and flip the axes of [C, X, Y, Z]."""
        turned = channels.permute(0, *[1 + axis for axis in self.order])
        return turned.flip([1 + axis for axis in self.flips])

    def _points(self, shape: Sequence[int], side: int) -> Tensor:
        """Return where each voxel of the view is read: indices [1, 3, X, Y, Z]."""
        matrix = self.sides[side]
        cube = unit_grid(shape, matrix) * 2 - 1
        moved = torch.einsum("ij,bjxyz->bixyz", matrix[:, :3], cube) + matrix[:, 3].view(3, 1, 1, 1)
        return (moved + 1) / 2 * last_index(shape, matrix)
