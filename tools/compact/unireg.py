"""Training of UniReg networks."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from compact.anatomy import People
from compact.recipes import Recipe, Stage
from compact.seeds import independent_generator
from compact.training import Training
from zoo.networks import UniReg
from zoo.networks.unireg_tasks import TASKS, Task, coarser
from zoo.synthesis.anatomies import Anatomy
from zoo.synthesis.rendered_pairs import draw_deformed_person
from zoo.synthesis.subjects import SyntheticPair, draw_pair
from zoo.training.objectives import UniRegObjective

WIDTH = 8
AXES = (2, 1, 0)
"""Axes of the lattice, from foot to head, from back to front and from side to side, in RAS."""
VOXELS = (2.5, 6.0)
"""Range of the voxel size of a view, in mm: most show the whole of a head."""
MAX_WINDOW = 5
"""Largest window of the local correlation: nine voxels of the published lattice are three here."""


class UniRegTraining(Training):
    """Training of a UniReg network; the tasks take turns, each as often as its sampling weight."""

    network: UniReg

    def __init__(self, recipe: Recipe, device: str = "cpu", people: People | None = None) -> None:
        people = people or People([], [])
        super().__init__(
            recipe,
            device,
            People(
                [one.permuted(AXES) for one in people.heads],
                [one.permuted(AXES) for one in people.cts],
            ),
        )
        self.network = UniReg().to(device)

    def losses(self, stage: Stage) -> dict[str, Tensor]:
        """Return the terms of the loss of the next subjects, all of the same task."""
        pairs = [self.next_pair(stage) for _ in range(stage.batch)]
        fixed, moving = (torch.stack([getattr(p, s) for p in pairs]) for s in ("fixed", "moving"))
        truth = torch.stack([pair.truth for pair in pairs])
        losses: dict[str, Tensor] = self._objective(stage)(
            fixed, moving, _task(pairs[0].region), truth=truth
        )
        return losses

    def trained_weights(self, stage: Stage) -> list[nn.Parameter]:
        """Return all weights of the network."""
        return list(self.network.parameters())

    def predict(self, pair: SyntheticPair, stage: Stage, moving_contrast: int = 0) -> Tensor:
        """Return the displacement [1, 3, X, Y, Z] in voxels under the conditions of the task."""
        moving, fixed = pair.moving[None, moving_contrast, None], pair.fixed[None, :1]
        return self._objective(stage).displacement(moving, fixed, _task(pair.region))

    def draw(self, seed: int, stage: Stage) -> SyntheticPair:
        """Return the pair with this seed; the tasks take turns, and a batch is of one task."""
        rounds = [name for name in stage.tasks for _ in range(TASKS[name].sampling)]
        task = TASKS[rounds[seed // stage.batch % len(rounds)]]
        shape = [coarser(n, stage.size) for n in task.size]
        generator = independent_generator(seed)
        share = stage.layered_share if task.region == "brain" else 0.0
        layered = float(torch.rand(1, generator=generator)) < share
        person = self._person(task.region, generator)
        if person is not None:
            return draw_deformed_person(seed, person, shape, voxels=VOXELS, pairing=task.type)
        return draw_pair(
            seed,
            shape,
            region=task.region,
            pairing=task.type,
            layered=layered,
            device=self.device,
        )

    def _person(self, region: str, generator: torch.Generator) -> Anatomy | None:
        """Return the person to render for a task, or None to draw shapes."""
        mixture = self.recipe.mixture
        if region == "brain" and mixture.heads:
            share, people = mixture.heads, self.people.heads
        elif region == "head" and mixture.ct:
            share, people = mixture.ct, self.people.cts
        else:
            return None
        if float(torch.rand(1, generator=generator)) >= share:
            return None
        return people[int(torch.randint(len(people), (), generator=generator))]

    def metadata(self) -> dict[str, str]:
        """Return the width, and the lattice of the body that the weights are made for."""
        return {"width": str(WIDTH), "size": str(list(self.recipe.size))}

    def _objective(self, stage: Stage) -> UniRegObjective:
        self.network.freeze_conditions(not stage.conditioned)
        return UniRegObjective(
            self.network, levels=stage.parts, truth_weight=self.recipe.truth_weight
        )


def _task(region: str) -> Task:
    """Return the task of a region, with a window that suits a coarse lattice."""
    task = TASKS[region]
    across, along, up = (min(n, MAX_WINDOW) for n in task.window)
    return replace(task, window=(across, along, up))
