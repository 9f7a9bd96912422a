"""The published training objectives of the learned models, as modules.

An objective holds the network, takes images [B, 1, X, Y, Z] in [0, 1] on one grid and returns named
scalars; "loss" is the one to minimise. The trainer's network is the objective and not the network
itself: DistributedDataParallel averages gradients only after a call of the module that it wraps,
and an objective calls its network in several ways.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor, nn

from zoo.errors import UserError
from zoo.geometry.displacement_maps import (
    Composition,
    PointMap,
    displacement_in_voxels,
    resize_displacement,
)
from zoo.geometry.sampling import identity_index, sample
from zoo.losses import (
    BoxLNCC,
    Similarity,
    consistency_points,
    field_map,
    folded_share,
    gradicon,
    gradient_penalty,
    shared_one_hot,
    similarity_named,
    soft_dice,
)
from zoo.networks import GradICON, UniReg
from zoo.networks.unireg_levels import upsample_flow
from zoo.networks.unireg_tasks import Task

Losses = dict[str, Tensor]

ALL_STEPS = 4


class GradICONObjective(nn.Module):
    """Similarity in both directions, and gradient inverse consistency of the two maps.

    `steps` is the number of U-Nets that are trained. 3 is the published first stage, without the
    last U-Net; 4 is the second stage. 2 trains the two coarse U-Nets alone, on images of half the
    size, at an eighth of the cost; it is a good first stage for random weights. `similarity` is a
    measure or its name.

    The consistency is computed from the two displacement fields, interpolated linearly between
    their voxels. That takes one interpolation per point; the network's composed maps would take
    four.
    """

    def __init__(
        self,
        network: GradICON,
        similarity: Similarity | str = "lncc",
        regularity: float = 1.5,
        *,
        steps: int = ALL_STEPS,
        dice_weight: float = 0.0,
        truth_weight: float = 0.0,
    ) -> None:
        super().__init__()
        if steps not in (2, 3, ALL_STEPS):
            raise UserError(
                f"a GradICON network has 4 U-Nets, of which 2, 3 or 4 are trained, not {steps}"
            )
        self.network = network
        self.similarity = (
            similarity_named(similarity) if isinstance(similarity, str) else similarity
        )
        self.regularity = regularity
        self.steps = steps
        self.dice_weight = dice_weight
        self.truth_weight = truth_weight

    def forward(
        self,
        fixed: Tensor,
        moving: Tensor,
        fixed_loss: Tensor | None = None,
        moving_loss: Tensor | None = None,
        fixed_labels: Tensor | None = None,
        moving_labels: Tensor | None = None,
        truth: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Losses:
        """Return "loss", "similarity", "gradicon" and "folding" (a fraction) of B pairs.

        The similarity compares `fixed_loss` and `moving_loss`: other contrasts of the same two
        subjects (loss randomisation), by default the images themselves. Label maps [B, 1, X, Y, Z]
        contribute with `dice_weight`. The true displacement [B, 3, X, Y, Z] in voxels, which
        synthetic pairs have, contributes after each U-Net with `truth_weight` (per voxel of error).
        `generator` (CPU) draws the points of the consistency.
        """
        inputs = (moving, fixed)
        compared = (
            moving if moving_loss is None else moving_loss,
            fixed if fixed_loss is None else fixed_loss,
        )
        # Both directions are one batch: moving onto fixed first, fixed onto moving second.
        sources, targets = torch.cat(inputs), torch.cat(inputs[::-1])
        shape = sources.shape[2:]
        both_maps = self._map(sources, targets)
        displacement = displacement_in_voxels(both_maps.on_grid(shape))
        index = identity_index(shape, device=fixed.device) + displacement
        warped = sample(torch.cat(compared), index, outside="zeros")
        similarity = 2 * self.similarity(warped, torch.cat(compared[::-1]))

        forward, backward = displacement.chunk(2)
        points = consistency_points(shape, generator).to(forward)
        points = points.expand(len(forward), *points.shape[1:])
        consistency = gradicon(field_map(forward), field_map(backward), points)
        loss = similarity + self.regularity * consistency
        terms = {"similarity": similarity, "gradicon": consistency}
        if self.dice_weight:
            overlap = _overlap(index, fixed_labels, moving_labels)
            loss = loss + self.dice_weight * overlap
            terms["dice"] = overlap
        if self.truth_weight and truth is not None:
            errors = self._errors(both_maps, forward, truth, fixed[:, 0] > 0)
            terms["error"] = errors[0]
            loss = loss + self.truth_weight * torch.stack(errors).mean()
        with torch.no_grad():
            terms["folding"] = torch.tensor(folded_share(displacement))
        return {"loss": loss, **{name: value.detach() for name, value in terms.items()}}

    def displacement(self, moving: Tensor, fixed: Tensor) -> Tensor:
        """Return the displacement of the trained U-Nets, [B, 3, X, Y, Z] in voxels."""
        return displacement_in_voxels(self._map(moving, fixed).on_grid(fixed.shape[2:]))

    @staticmethod
    def _errors(
        both_maps: PointMap, forward: Tensor, truth: Tensor, inside: Tensor
    ) -> list[Tensor]:
        """Return the mean errors in voxels after the last U-Net and after those before it."""
        errors = [_error(forward, truth, inside)]
        for earlier in _earlier_maps(both_maps):
            displacement = displacement_in_voxels(earlier.on_grid(forward.shape[2:]))
            errors.append(_error(displacement[: len(forward)], truth, inside))
        return errors

    def _map(self, moving: Tensor, fixed: Tensor) -> PointMap:
        """Return the map of the trained U-Nets."""
        if self.steps == ALL_STEPS:
            return self.network.map(moving, fixed)
        coarse = self.network.netPhi
        moving, fixed = self.network.network_input(moving, fixed)
        coarse_map: PointMap = (
            coarse(moving, fixed) if self.steps == 3 else coarse.netPhi.net(moving, fixed)  # type: ignore[operator]
        )
        return coarse_map


class UniRegObjective(nn.Module):
    """Local squared correlation, and smoothness of the flow, with the window and weight of a task.

    A pair that was aligned beforehand is given with the moving image already warped. The network's
    flow is then the residual one, and only that is smoothed; `mask` is 1 where the warped image has
    content, and the correlation is limited to it.

    The coarsest `levels` of the pyramid are trained: three cost half as much as all four.
    """

    def __init__(
        self, network: UniReg, *, levels: int = ALL_STEPS, truth_weight: float = 0.0
    ) -> None:
        super().__init__()
        self.network = network
        self.levels = levels
        self.truth_weight = truth_weight

    def forward(
        self,
        fixed: Tensor,
        moving: Tensor,
        task: Task,
        mask: Tensor | None = None,
        truth: Tensor | None = None,
    ) -> Losses:
        """Return "loss", "similarity", "smoothness" and "folding" (a fraction) of B pairs.

        All pairs belong to `task`, and their axes are those of its window: (D, H, W). The true
        displacement [B, 3, D, H, W] in voxels, which synthetic pairs have, contributes at every
        level with `truth_weight` (per voxel of error).
        """
        flows = self._flows(fixed, moving, task)
        flow = flows[-1]
        index = identity_index(fixed.shape[2:], device=fixed.device) + flow
        similarity = BoxLNCC(task.window)(sample(moving, index), fixed, mask)
        smoothness = gradient_penalty(flow)
        loss = similarity + task.smoothness * smoothness
        terms = {"similarity": similarity, "smoothness": smoothness}
        if self.truth_weight and truth is not None:
            inside = fixed[:, 0] > 0
            errors = [_error(flow, truth, inside) for flow in flows]
            loss = loss + self.truth_weight * torch.stack(errors).mean()
            terms["error"] = errors[-1]
        with torch.no_grad():
            terms["folding"] = torch.tensor(folded_share(flow))
        return {"loss": loss, **{name: value.detach() for name, value in terms.items()}}

    def displacement(self, moving: Tensor, fixed: Tensor, task: Task) -> Tensor:
        """Return the displacement of the trained levels, [B, 3, D, H, W] in voxels."""
        return self._flows(fixed, moving, task)[-1]

    def _flows(self, fixed: Tensor, moving: Tensor, task: Task) -> list[Tensor]:
        """Return the flow after each trained level, upsampled to the grid of the images."""
        pair = torch.cat([moving, fixed], dim=1)
        levels = self.network.levels(pair, type=task.type, region=task.region)
        flows = []
        for level in islice(levels, self.levels):
            flow = level.flow
            for _ in range(level.step.bit_length() - 1):
                flow = upsample_flow(flow)
            flows.append(resize_displacement(flow, fixed.shape[2:]))
        return flows


def _earlier_maps(composed: PointMap) -> Iterator[PointMap]:
    """Yield a composed map without its last U-Net, then without its last two, and so on."""
    while isinstance(composed, Composition):
        composed = composed.outer
        yield composed


def _error(displacement: Tensor, truth: Tensor, inside: Tensor) -> Tensor:
    """Return the mean error of [B, 3, X, Y, Z] in voxels where `inside` [B, X, Y, Z] is true."""
    distance: Tensor = (displacement - truth).norm(dim=1)
    return distance[inside].mean()


def _overlap(index: Tensor, fixed: Tensor | None, moving: Tensor | None) -> Tensor:
    """Return the sum over both directions of one minus the mean Dice.

    `index` [2 B, 3, X, Y, Z] is where the labels are read, in voxels.
    """
    if fixed is None or moving is None:
        raise UserError(
            "a dice_weight needs label maps of both images, and a training pair has none; add them "
            "to the dataset, or set dice_weight to 0"
        )
    first, second = shared_one_hot(moving, fixed)
    targets = torch.cat([second, first])
    present = (targets.amax((2, 3, 4)) > 0).float()
    return 2 * soft_dice(sample(torch.cat([first, second]), index), targets, present)
