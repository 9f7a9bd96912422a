"""Several displacements of one pair, of which the one is kept that a criterion prefers.

The candidates are the field of the search, its refinement, and the refinement of what a compact
network predicts. The criterion compares features that no stage has optimised, and makes a
candidate pay for an uneven change of volume.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.errors import UserError, nearest
from zoo.geometry import Grid, Transform
from zoo.geometry.jacobian import jacobian_determinant
from zoo.geometry.sampling import identity_index, inside, sample
from zoo.registration.mcbo.intensity import unit_intensity
from zoo.registration.working_pair import WorkingPair
from zoo.solvers.mind import mind_features

CandidateName = Literal["search", "refined", "network"]
CANDIDATES: tuple[str, ...] = get_args(CandidateName)

CRITERION = "held-out MIND x SD of log J, with a margin for the refinement"
"""What result.json calls the criterion."""
RADIUS, DILATION = 1, 2
"""Of the compared features, in voxels of half the resolution.

The search compares patches that are one voxel away at full resolution, the refinement windows of
five voxels.
"""
LEAST_SPREAD = 0.1
"""The SD of log J below which a smaller one is no advantage."""
CLEARLY = 0.65
"""The share of the usual candidate's value below which another candidate is preferred to it.

The refinement between whole heads changes the volume much because it has much to correct: its value
is up to 1.4 times that of the search, and its error is lower. Where the refinement of two contrasts
would spoil the result, its value is at least 1.6 times that of the search
(docs/experiments/effort.md and fluid-refinement.md).
"""
_LEAST_DETERMINANT = 0.01
_FEWEST_VOXELS_TO_HALVE = 64  # along the shortest axis


@dataclass(frozen=True)
class Chosen:
    """The candidate [1, 3, X, Y, Z] that the criterion prefers, and the values of all candidates.

    The smallest value is the best; the usual candidate is kept unless another is clearly better.
    """

    name: str
    displacement: Tensor
    criterion: Mapping[str, float]

    def record(self) -> dict[str, Any]:
        """Return what result.json reports."""
        return {"chosen": self.name, "criterion": CRITERION, "values": dict(self.criterion)}


def check_candidates(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of candidates; `UserError` if one is unknown."""
    for name in names:
        if name not in CANDIDATES:
            raise UserError(
                f"the candidate {name!r} is not known{nearest(name, CANDIDATES)}; use some of "
                f"{', '.join(CANDIDATES)}"
            )
    return tuple(names)


@torch.no_grad()
def choose(candidates: Mapping[str, Tensor], work: WorkingPair, usual: str | None = None) -> Chosen:
    """Return the displacement with the smallest criterion, or the usual one if it is hardly larger.

    The criterion is the mean squared difference of the held-out features, times the SD of log J.

    `candidates` are [1, 3, X, Y, Z] in voxels of the working grid, by name. Of equal ones the first
    is kept, and a single one is not measured. Voxels count where every candidate points to data, so
    that none gains by pointing away.
    """
    if len(candidates) == 1:
        return Chosen(*next(iter(candidates.items())), {})
    features = HeldOutFeatures(work)
    counted = features.counted(list(candidates.values()))
    values = {name: features.criterion(d, counted) for name, d in candidates.items()}
    best = preferred(values, usual)
    return Chosen(best, candidates[best], values)


def preferred(values: Mapping[str, float], usual: str | None = None) -> str:
    """Return the name of the smallest value, or `usual` if that is not clearly larger."""
    best = min(values, key=lambda name: values[name])
    if usual is not None and usual in values and values[best] >= CLEARLY * values[usual]:
        return usual
    return best


class HeldOutFeatures:
    """MIND-SSC features of a pair at half the resolution, and their residual for a displacement."""

    def __init__(self, work: WorkingPair) -> None:
        moving, fixed = (unit_intensity(channel)[None, None] for channel in work.image[0])
        self.moving = moving
        self.masks = work.masks
        self.block = 2 if min(fixed.shape[2:]) >= _FEWEST_VOXELS_TO_HALVE else 1
        self.fixed = self._features(fixed)

    def counted(self, displacements: Sequence[Tensor]) -> Tensor:
        """Return the voxels at which the features count: where all displacements point to data."""
        shape = self.moving.shape[2:]
        identity = identity_index(shape, device=self.moving.device)
        counted = torch.ones_like(self.moving, dtype=torch.bool)
        if self.masks is not None:
            counted = self.masks[:, 1:] > 0.5
        for displacement in displacements:
            index = identity + displacement
            counted = counted & inside(index, shape)
            if self.masks is not None:
                counted &= sample(self.masks[:, :1], index) >= 0.999
        return F.avg_pool3d(counted.float(), self.block) >= 0.999

    def criterion(self, displacement: Tensor, counted: Tensor) -> float:
        """Return the residual of the features times the SD of log J, where voxels count."""
        spread = max(self.spread(displacement, counted), LEAST_SPREAD)
        return self.residual(displacement, counted) * spread

    def spread(self, displacement: Tensor, counted: Tensor) -> float:
        """Return the SD of log J over the voxels that count."""
        x, y, z = displacement.shape[2:]
        identity = torch.eye(4, dtype=torch.float64)
        grid = Grid((x, y, z), identity)
        determinant = jacobian_determinant(Transform(identity, displacement[0], grid))
        logarithm = determinant.clamp_min(_LEAST_DETERMINANT).log()[None, None]
        return float(F.avg_pool3d(logarithm, self.block)[counted].std())

    def residual(self, displacement: Tensor, counted: Tensor) -> float:
        """Return the mean squared difference of the features over the voxels that count."""
        identity = identity_index(self.moving.shape[2:], device=self.moving.device)
        difference = self._features(sample(self.moving, identity + displacement)) - self.fixed
        return float(difference.square().mean(1, keepdim=True)[counted].mean())

    def _features(self, image: Tensor) -> Tensor:
        return mind_features(F.avg_pool3d(image, self.block), RADIUS, DILATION)
