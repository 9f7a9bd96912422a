"""What training minimises: the published objectives of the learned models, as modules.

An objective holds the network, takes images [B, 1, X, Y, Z] in [0, 1] on one grid and returns named
scalars; "loss" is the one to minimise. It is what a trainer calls and what DistributedDataParallel
wraps.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor, nn

from zoo.errors import UserError
from zoo.geometry.displacement_maps import Composition, Map, displacement_in_voxels, on_lattice
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
    """Similarity in both directions and the gradient inverse consistency of the two maps.

    `steps` says how much of the network is trained: 3 is the published first stage (the last U-Net
    waits), 4 the second. 2 trains the two coarse U-Nets alone, on images of half the size: an
    eighth of the cost, and a good start for a network that begins from nothing. `similarity` is a
    measure or its name.

    The consistency is taken of the two displacement fields, linear between their voxels: one
    reading a point, where the network's own composed maps would take four.
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
            raise UserError(f"a GradICON network is trained in 2, 3 or 4 steps, not {steps}")
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
        """Return "loss", "similarity", "gradicon" and "folding" (a share) of B pairs.

        `fixed_loss` and `moving_loss` are what the similarity is taken of: other contrasts of the
        same two subjects (loss randomisation), or else the images themselves. Label maps
        [B, 1, X, Y, Z] count when the objective has a `dice_weight`. The true displacement
        [B, 3, X, Y, Z] in voxels, where synthetic pairs have one, counts after each U-Net with a
        `truth_weight` (a voxel). `generator` (CPU) draws the points of the consistency.
        """
        inputs = (moving, fixed)
        seen = (
            moving if moving_loss is None else moving_loss,
            fixed if fixed_loss is None else fixed_loss,
        )
        # Both directions are one batch: moving onto fixed first, fixed onto moving second.
        sources, targets = torch.cat(inputs), torch.cat(inputs[::-1])
        shape = sources.shape[2:]
        found_map = self._map(sources, targets)
        displacement = displacement_in_voxels(found_map.on_grid(shape))
        index = identity_index(shape, device=fixed.device) + displacement
        warped = sample(torch.cat(seen), index, outside="zeros")
        similarity = 2 * self.similarity(warped, torch.cat(seen[::-1]))

        there, back = displacement.chunk(2)
        points = consistency_points(shape, generator).to(there)
        points = points.expand(len(there), *points.shape[1:])
        consistency = gradicon(field_map(there), field_map(back), points)
        loss = similarity + self.regularity * consistency
        found = {"similarity": similarity, "gradicon": consistency}
        if self.dice_weight:
            overlap = _overlap(index, fixed_labels, moving_labels)
            loss = loss + self.dice_weight * overlap
            found["dice"] = overlap
        if self.truth_weight and truth is not None:
            inside = fixed[:, 0] > 0
            found["error"] = _error(there, truth, inside)
            errors = [found["error"]]
            for earlier in _earlier(found_map):
                on_grid = displacement_in_voxels(earlier.on_grid(shape))
                errors.append(_error(on_grid[: len(there)], truth, inside))
            loss = loss + self.truth_weight * torch.stack(errors).mean()
        with torch.no_grad():
            found["folding"] = torch.tensor(folded_share(displacement))
        return {"loss": loss, **{name: value.detach() for name, value in found.items()}}

    def displacement(self, moving: Tensor, fixed: Tensor) -> Tensor:
        """Return what the trained part of the network finds: [B, 3, X, Y, Z] in voxels."""
        return displacement_in_voxels(self._map(moving, fixed).on_grid(fixed.shape[2:]))

    def _map(self, moving: Tensor, fixed: Tensor) -> Map:
        if self.steps == ALL_STEPS:
            return self.network.map(moving, fixed)
        coarse = self.network.netPhi
        moving, fixed = self.network.network_input(moving, fixed)
        found: Map = (
            coarse(moving, fixed) if self.steps == 3 else coarse.netPhi.net(moving, fixed)  # type: ignore[operator]
        )
        return found


class UniRegObjective(nn.Module):
    """Local squared correlation in the task's window, and the task's weight on the flow's slope.

    A pair that was aligned beforehand is given with the moving image already warped: the network's
    flow is then the residual one, and only that is smoothed; `mask` says where the warped image has
    content, and the correlation counts there alone.

    `levels` of the pyramid are trained, from the coarsest: three cost half of all four.
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
        """Return "loss", "similarity", "smoothness" and "folding" (a share) of B pairs of a task.

        The axes of the images lie as those of the task's window: (D, H, W). The true displacement
        [B, 3, D, H, W] in voxels, where synthetic pairs have one, counts at every level with a
        `truth_weight` (a voxel).
        """
        flows = self._flows(fixed, moving, task)
        flow = flows[-1]
        index = identity_index(fixed.shape[2:], device=fixed.device) + flow
        similarity = BoxLNCC(task.window)(sample(moving, index), fixed, mask)
        smoothness = gradient_penalty(flow)
        loss = similarity + task.smoothness * smoothness
        found = {"similarity": similarity, "smoothness": smoothness}
        if self.truth_weight and truth is not None:
            inside = fixed[:, 0] > 0
            errors = [_error(flow, truth, inside) for flow in flows]
            loss = loss + self.truth_weight * torch.stack(errors).mean()
            found["error"] = errors[-1]
        with torch.no_grad():
            found["folding"] = torch.tensor(folded_share(flow))
        return {"loss": loss, **{name: value.detach() for name, value in found.items()}}

    def displacement(self, moving: Tensor, fixed: Tensor, task: Task) -> Tensor:
        """Return what the trained levels find: [B, 3, D, H, W] in voxels."""
        return self._flows(fixed, moving, task)[-1]

    def _flows(self, fixed: Tensor, moving: Tensor, task: Task) -> list[Tensor]:
        """Return the flow after each trained level, carried to the lattice of the images."""
        pair = torch.cat([moving, fixed], dim=1)
        levels = self.network.levels(pair, type=task.type, region=task.region)
        flows = []
        for level in islice(levels, self.levels):
            flow = level.flow
            for _ in range(level.step.bit_length() - 1):
                flow = upsample_flow(flow)
            flows.append(on_lattice(flow, fixed.shape[2:]))
        return flows


def _earlier(found: Map) -> Iterator[Map]:
    """Yield the maps before the last steps that a map is composed of, the longest first."""
    while isinstance(found, Composition):
        found = found.outer
        yield found


def _error(displacement: Tensor, truth: Tensor, inside: Tensor) -> Tensor:
    """Return the mean error in voxels of [B, 3, X, Y, Z] where `inside` [B, X, Y, Z]."""
    return (displacement - truth).norm(dim=1)[inside].mean()


def _overlap(index: Tensor, fixed: Tensor | None, moving: Tensor | None) -> Tensor:
    """Return one minus the mean Dice of both directions; `index` [2 B, 3, X, Y, Z], voxels."""
    if fixed is None or moving is None:
        raise UserError("a Dice weight needs the label maps of both images")
    first, second = shared_one_hot(moving, fixed)
    targets = torch.cat([second, first])
    present = (targets.amax((2, 3, 4)) > 0).float()
    return 2 * soft_dice(sample(torch.cat([first, second]), index), targets, present)
