"""How much structure the registered images share, compared with what unrelated images reach.

Any two bodies with similar outlines have some similarity. How much is estimated from the pair
itself: the fixed image is compared with copies of the warped moving image that are mirrored,
rotated or shifted within the box of the common region. The copies have the same intensities and
textures, but their anatomy is in the wrong place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch.nn.functional as F
from torch import Tensor

from zoo.datasets.pairs import Pair
from zoo.evaluation.metrics import pair_bodies
from zoo.evaluation.symmetry import aligned_mirror_image
from zoo.geometry import Transform, warp
from zoo.losses.similarity import SquaredLNCC
from zoo.measures import normalised_mutual_information

LATTICE_VOXELS = 250_000
"""Size of the lattice on which the images are compared, which takes less than a second."""
FEWEST_VOXELS = 500
"""Number of voxels of the common region below which nothing is compared."""
TINY = 1e-4
"""Smallest agreement of unrelated images that is used as a divisor."""


@dataclass(frozen=True)
class CommonStructure:
    """The agreement of the fixed and the warped moving image, and that of misplaced copies.

    `similarity` and `nmi` are defined as the figures of the same names, over the part of the fixed
    body that both images show. `unrelated_similarity` and `unrelated_nmi` are the second largest
    values among the misplaced copies, because one mirrored copy of a symmetric body is not
    unrelated. `misplaced_nmi` is the largest value. `mirrored_nmi` is that of the image with left
    and right exchanged, aligned with the fixed image. `empty_percent` is the share of the common
    region in which the warped image is constant.
    """

    similarity: float
    unrelated_similarity: float
    nmi: float
    unrelated_nmi: float
    misplaced_nmi: float
    mirrored_nmi: float
    empty_percent: float

    @property
    def ratio(self) -> float:
        """The agreement relative to that of unrelated images, which have a ratio of about 1.

        It is the geometric mean of the ratios of the similarity and of the normalised mutual
        information above 1.
        """
        similarity = self.similarity / max(self.unrelated_similarity, TINY)
        information = (self.nmi - 1) / max(self.unrelated_nmi - 1, TINY)
        return math.sqrt(max(similarity, 0.0) * max(information, 0.0))

    @property
    def symmetry(self) -> float:
        """The information that the mirror image shares with the fixed image, relative to the image.

        It is about 1 for a symmetric body and near 0 for one whose halves differ.
        """
        return max(self.mirrored_nmi - 1, 0.0) / max(self.nmi - 1, TINY)

    def record(self) -> dict[str, float]:
        """Return the values for result.json."""
        values = asdict(self) | {"ratio": self.ratio, "symmetry": self.symmetry}
        return {name: round(value, 4) for name, value in values.items()}


def common_structure(pair: Pair, transform: Transform) -> CommonStructure | None:
    """Compare the images of a pair under a transform fixed -> moving, and with misplaced copies.

    Return None if the transform maps hardly any of the fixed body into the moving image.
    """
    fixed, moving = pair_bodies(pair, LATTICE_VOXELS)
    warped = warp(moving.image[None], moving.grid, fixed.grid, transform.to("cpu"), fill=-1)[0]
    common = (fixed.mask > 0) & (warped >= 0)
    if int(common.sum()) < FEWEST_VOXELS:
        return None
    box = bounding_box(common)
    image, moved, region = fixed.image[box], warped[box].clamp_min(0), common[box]
    lncc = SquaredLNCC(sigma=2)
    prepared = lncc.prepare(image[None, None])

    def similarity(copy: Tensor) -> float:
        return 1 - float(lncc.compare(copy[None, None], prepared, region[None, None]))

    def information(copy: Tensor) -> float:
        return normalised_mutual_information(image[region], copy[region])

    def information_of_mirror_image() -> float:
        copy, known = aligned_mirror_image(fixed, warped)
        shown = common & known
        if int(shown.sum()) < FEWEST_VOXELS:
            return 1.0
        return normalised_mutual_information(fixed.image[shown], copy[shown])

    copies = [*(moved.flip(axis) for axis in range(3)), *turned_and_shifted_copies(moved)]
    informations = sorted(map(information, copies))
    return CommonStructure(
        similarity=similarity(moved),
        unrelated_similarity=sorted(map(similarity, copies))[-2],
        nmi=information(moved),
        unrelated_nmi=informations[-2],
        misplaced_nmi=informations[-1],
        mirrored_nmi=information_of_mirror_image(),
        empty_percent=100 * float(constant_voxels(moved)[region].float().mean()),
    )


def turned_and_shifted_copies(image: Tensor) -> Iterator[Tensor]:
    """Yield copies of an image [X, Y, Z] of the same shape whose content is in another place.

    They are mirrored along all axes, rotated by 180 or by 90 degrees about each axis, and shifted
    by a quarter along each axis, with what leaves one side entering at the other.
    """
    for axis in range(3):
        first, second = (k for k in range(3) if k != axis)
        yield image.flip((first, second))
        yield image.roll(image.shape[axis] // 4, axis)
        rotated = image.transpose(first, second).flip(first)
        yield F.interpolate(rotated[None, None], size=image.shape, mode="trilinear")[0, 0]
    yield image.flip((0, 1, 2))


def constant_voxels(image: Tensor) -> Tensor:
    """Return the voxels [X, Y, Z] whose 27 neighbours all have the same value."""
    largest = F.max_pool3d(image[None, None], 3, stride=1, padding=1)
    smallest = -F.max_pool3d(-image[None, None], 3, stride=1, padding=1)
    return (largest - smallest)[0, 0] < 1e-6


def bounding_box(mask: Tensor) -> tuple[slice, slice, slice]:
    """Return the slices of the smallest box that contains a mask [X, Y, Z], which is not empty."""
    index = mask.nonzero()
    first, last = index.amin(0).tolist(), index.amax(0).tolist()
    x, y, z = (slice(a, b + 1) for a, b in zip(first, last, strict=True))
    return x, y, z
