"""Random views of a pair: the augmentation that GradICON networks are trained with.

Both images get the same permutation and flips of their axes. Each image then gets its own affine
map: the identity plus noise. Tian et al., "GradICON" (CVPR 2023).
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
    """A random view of a pair: the axis order and flips of both images, and a 3x4 matrix for each.

    A matrix maps points of the cube [-1, 1] of the view to points of the cube of the image, with
    components in the order of the array's axes. `matrices` holds the one of the moving image, then
    the one of the fixed image.
    """

    order: tuple[int, int, int]
    flips: tuple[int, ...]
    matrices: tuple[Tensor, Tensor]

    @classmethod
    def draw(
        cls, random: np.random.Generator, shape: Sequence[int], noise: float = 0.05
    ) -> RandomView:
        """Return a random view of images of `shape`; only axes of equal length are exchanged."""
        order = list(range(3))
        for n in sorted(set(shape)):
            axes = [axis for axis in range(3) if shape[axis] == n]
            for axis, source in zip(axes, random.permutation(axes).tolist(), strict=True):
                order[axis] = source
        flips = [axis for axis in range(3) if random.random() < 0.5]
        matrices = [
            torch.eye(3, 4) + noise * torch.from_numpy(random.standard_normal((3, 4))).float()
            for _ in range(2)
        ]
        return cls((order[0], order[1], order[2]), tuple(flips), (matrices[0], matrices[1]))

    def image(self, image: Tensor, side: int) -> Tensor:
        """Return the view of channels [C, X, Y, Z] of the moving (0) or the fixed (1) image.

        Beyond the border of the image its edge voxels are repeated.
        """
        turned = self._turned(image)
        return sample(turned[None], self._indices(turned.shape[1:], side))[0]

    def labels(self, labels: Tensor, side: int) -> Tensor:
        """Return the view of labels [C, X, Y, Z] of one side, by nearest neighbour."""
        turned = self._turned(labels)
        indices = self._indices(turned.shape[1:], side)
        last = last_index(turned.shape[1:], indices)
        return sample_nearest(turned[None], torch.minimum(indices.clamp_min(0), last))[0]

    def _turned(self, channels: Tensor) -> Tensor:
        """Permute and flip the axes of [C, X, Y, Z]."""
        turned = channels.permute(0, *[1 + axis for axis in self.order])
        return turned.flip([1 + axis for axis in self.flips])

    def _indices(self, shape: Sequence[int], side: int) -> Tensor:
        """Return the voxel index at which each voxel of the view is read, [1, 3, X, Y, Z]."""
        matrix = self.matrices[side]
        cube = unit_grid(shape, matrix) * 2 - 1
        moved = torch.einsum("ij,bjxyz->bixyz", matrix[:, :3], cube) + matrix[:, 3].view(3, 1, 1, 1)
        return (moved + 1) / 2 * last_index(shape, matrix)
