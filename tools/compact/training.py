"""A network on its way through a recipe: steps, validation, what going on needs."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from compact.matcher import (
    HALVED,
    KEPT,
    LEAST_CLEAN,
    MATCHED,
    draw_crops,
    easy_share,
    matched,
    matching_losses,
    show_slopes,
)
from compact.muon import Muon
from compact.recipes import Recipe, Stage
from zoo.geometry.sampling import identity_index, sample
from zoo.losses import LNCC, SquaredLNCC, folded_share
from zoo.networks import GradICON, UniReg
from zoo.networks.recolour import recoloured
from zoo.networks.unet import UNet
from zoo.networks.unireg_tasks import TASKS, Task, coarser
from zoo.synthesis.subjects import SyntheticPair, draw_pair
from zoo.training.objectives import GradICONObjective, UniRegObjective

WIDTH = 8
SEEDS = 10_000_000
"""So many seeds has a recipe."""
FIRST_OF_VALIDATION = 10**9
CALIBRATION, VALIDATION = 12, 12
MOST_WINDOW = 5
"""Voxels of UniReg's local correlation; nine of the published lattice are three here."""
WARM_UP = 50


class Training(ABC):
    """What both kinds of network share. `drawn` counts the subjects drawn for training."""

    network: nn.Module

    def __init__(self, recipe: Recipe, device: str = "cpu") -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.device = device
        self.stage = 0
        self.step = 0
        self.drawn = 0
        self.seconds = 0.0
        self.random = torch.Generator().manual_seed(recipe.seed)
        self.optimiser: torch.optim.Optimizer | None = None
        self.origin: dict[str, Tensor] | None = None

    def start_from(self, network: dict[str, Tensor]) -> None:
        """Begin with the network of another training, which is kept for `weights`."""
        self.network.load_state_dict(network)
        self.origin = network

    @abstractmethod
    def losses(self, stage: Stage) -> dict[str, Tensor]:
        """Return the terms of the next subject's loss."""

    @abstractmethod
    def trained(self, stage: Stage) -> list[nn.Parameter]:
        """Return the weights that a stage trains."""

    @abstractmethod
    def predict(self, pair: SyntheticPair, stage: Stage) -> Tensor:
        """Return the displacement [1, 3, X, Y, Z] found for a pair in its first contrast."""

    @abstractmethod
    def draw(self, seed: int, stage: Stage) -> SyntheticPair:
        """Return the pair of a seed on the stage's grid."""

    @abstractmethod
    def enter(self, stage: Stage) -> None:
        """Prepare the network for a stage that begins."""

    def weights(self) -> dict[str, Tensor]:
        """Return the weights that ship."""
        return self._between(self.network.state_dict())

    def _between(self, learnt: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the mean of the weights that a recipe went on from and of what it learnt since.

        The mean keeps what the first task had learnt and takes most of the second.
        """
        if self.origin is None or not self.recipe.after:
            return learnt
        first = self.origin
        return {
            name: (value + first[name].to(value)) / 2 if value.is_floating_point() else value
            for name, value in learnt.items()
        }

    @abstractmethod
    def metadata(self) -> dict[str, str]:
        """Return what the weights' file says of the network beside the recipe."""

    def run(self) -> Iterator[dict[str, float]]:
        """Take the steps that remain, yielding what each cost."""
        while self.stage < len(self.recipe.stages):
            stage = self.recipe.stages[self.stage]
            if self.optimiser is None:
                self.enter(stage)
                self.optimiser = self._optimiser(stage)
            while self.step < stage.steps:
                started = time.monotonic()
                costs = self._take(stage, self.optimiser)
                self.step += 1
                self.seconds += time.monotonic() - started
                yield costs
            self.stage, self.step, self.optimiser = self.stage + 1, 0, None

    def validate(self) -> dict[str, float]:
        """Return how well pairs fit that are never trained on.

        "error" is the mean error of the displacement inside the body, as a share of that of no
        registration; "similarity" one minus the mean local correlation; "folding" a share.
        """
        stage = self.recipe.stages[min(self.stage, len(self.recipe.stages) - 1)]
        before = after = unlike = folding = 0.0
        for k in range(VALIDATION):
            pair = self.draw(FIRST_OF_VALIDATION + k, stage)
            with torch.no_grad():
                found = self.predict(pair, stage)
                inside = pair.fixed_labels > 0
                after += float((found[0] - pair.truth).norm(dim=0)[inside].mean())
                before += float(pair.truth.norm(dim=0)[inside].mean())
                warped = sample(
                    pair.moving[None, :1],
                    identity_index(found.shape[2:], device=found.device) + found,
                )
                unlike += float(LNCC(2)(warped, pair.fixed[None, :1])) / VALIDATION
                folding += folded_share(found) / VALIDATION
        return {"error": after / before, "similarity": unlike, "folding": folding}

    def state(self) -> dict[str, Any]:
        """Return all that going on needs."""
        return {
            "network": self.network.state_dict(),
            "optimiser": None if self.optimiser is None else self.optimiser.state_dict(),
            "stage": self.stage,
            "step": self.step,
            "drawn": self.drawn,
            "seconds": self.seconds,
            "random": self.random.get_state(),
            "origin": self.origin,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go back to what `state` returned."""
        self.network.load_state_dict(state["network"])
        self.stage, self.step = state["stage"], state["step"]
        self.drawn, self.seconds = state["drawn"], state["seconds"]
        self.random.set_state(state["random"].cpu())
        self.origin = state.get("origin")
        if state["optimiser"] is not None:
            stage = self.recipe.stages[self.stage]
            self.optimiser = self._optimiser(stage)
            self.optimiser.load_state_dict(state["optimiser"])

    def next_pair(self, stage: Stage) -> SyntheticPair:
        """Return the next subject; its seed is never used again."""
        pair = self.draw(self.recipe.seed * SEEDS + self.drawn, stage)
        self.drawn += 1
        return pair

    def _optimiser(self, stage: Stage) -> torch.optim.Optimizer:
        return Muon(self.trained(stage), stage.rate, stage.matrix_rate)

    def _take(self, stage: Stage, optimiser: torch.optim.Optimizer) -> dict[str, float]:
        share = min(1.0, (self.step + 1) / WARM_UP) * (1 - 0.9 * self.step / stage.steps)
        for group in optimiser.param_groups:
            group["lr"] = stage.rate * share
        optimiser.zero_grad()
        losses = self.losses(stage)
        if not torch.isfinite(losses["loss"]):
            raise SystemExit(f"the loss is {float(losses['loss'])} at subject {self.drawn - 1}")
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(self.trained(stage), 1.0)
        optimiser.step()
        return {name: float(value.detach()) for name, value in losses.items()}


class GradICONTraining(Training):
    """A GradICON network, trained in the mode in which it is used.

    A stage of one part teaches the first U-Net alone, on crops; the next one starts with four of
    it. Batch norm is a fixed scale here: its statistics are taken once, at the start, and then only
    the scale and the shift learn. A batch of one would otherwise train on statistics that inference
    never sees.
    """

    network: GradICON

    def __init__(self, recipe: Recipe, device: str = "cpu") -> None:
        super().__init__(recipe, device)
        self.network = GradICON(width=WIDTH, recolour=recipe.recolour).to(device).eval()
        self.subjects: deque[SyntheticPair] = deque(maxlen=KEPT)

    def losses(self, stage: Stage) -> dict[str, Tensor]:
        """Return the terms of the next subjects' loss, each image in a contrast of its own."""
        if stage.parts == 1:
            return self._matching(stage)
        pairs = [self.next_pair(stage) for _ in range(stage.batch)]
        subjects = [self._images(pair) for pair in pairs]
        batch = {name: torch.stack([s[name] for s in subjects])[:, None] for name in subjects[0]}
        truth = torch.stack([pair.truth for pair in pairs])
        found: dict[str, Tensor] = self._objective(stage)(
            **batch, truth=truth, generator=self.random
        )
        return found

    def trained(self, stage: Stage) -> list[nn.Parameter]:
        """Return the weights of the stage's U-Nets."""
        return [weight for unet in self._unets()[: stage.parts] for weight in unet.parameters()]

    def predict(self, pair: SyntheticPair, stage: Stage) -> Tensor:
        """Return the displacement found for a pair in its first contrast."""
        moving, fixed = pair.moving[None, :1], pair.fixed[None, :1]
        if stage.parts == 1:
            moving = recoloured(moving, fixed) if self.recipe.recolour else moving
            return matched(self._unets()[0], moving, fixed, MATCHED)[-1]
        return self._objective(stage).displacement(moving, fixed)

    def draw(self, seed: int, stage: Stage) -> SyntheticPair:
        """Return the pair of a seed. Of subjects for crops every second one is twice as large."""
        size, clean, layered = stage.size, False, False
        if stage.parts == 1 and seed < FIRST_OF_VALIDATION:
            number = seed - self.recipe.seed * SEEDS
            random = _apart(seed)
            gone = (number - KEPT) / self.recipe.stages[0].steps
            share = easy_share(self._progress(gone), LEAST_CLEAN)
            clean = float(torch.rand(1, generator=random)) < share
            layered = float(torch.rand(1, generator=random)) < stage.layered
            size = size if number % 2 else (2 * size[0], 2 * size[1], 2 * size[2])
        return draw_pair(
            seed,
            size,
            contrasts=self.recipe.contrasts,
            region="brain" if layered else None,
            clean=clean,
            layered=layered,
            device=self.device,
        )

    def enter(self, stage: Stage) -> None:
        """Begin with the first U-Net's filters and scales, or with what it has learnt."""
        first, second, *_ = self._unets()
        if first.lastConv.weight.any():
            if stage.parts > 1 and not second.lastConv.weight.any():
                self._share_out(self.network)
            return
        show_slopes(first)
        first.train()
        for norm in first.batchNorms:
            assert isinstance(norm, nn.BatchNorm3d)
            norm.reset_running_stats()
            norm.momentum = None  # a plain average
        with torch.no_grad():
            for _ in range(CALIBRATION):
                self._matching(stage)
        self.network.eval()

    def load(self, state: dict[str, Any]) -> None:
        """Go back to what `state` returned, and draw the subjects that are seen again once more."""
        super().load(state)
        stage = self.recipe.stages[min(self.stage, len(self.recipe.stages) - 1)]
        if stage.parts == 1:
            first = self.recipe.seed * SEEDS
            numbers = range(max(self.drawn - KEPT, 0), self.drawn)
            self.subjects.extend(self.draw(first + number, stage) for number in numbers)

    def weights(self) -> dict[str, Tensor]:
        """Return the weights; while the first U-Net learns alone, the others are as it is."""
        network = deepcopy(self.network)
        network.load_state_dict(self._between(self.network.state_dict()))
        if not _unets(network)[1].lastConv.weight.any():
            self._share_out(network)
        return network.state_dict()

    def metadata(self) -> dict[str, str]:
        """Return the width, the grid that the weights are made for, and how they see a pair."""
        facts = {"width": str(WIDTH), "size": str(list(self.recipe.size))}
        return {**facts, "recolour": "true"} if self.recipe.recolour else facts

    def _images(self, pair: SyntheticPair) -> dict[str, Tensor]:
        """Return the images [X, Y, Z] that the network sees and, randomised, those of the loss."""
        roles = torch.randint(self.recipe.contrasts, (4,), generator=self.random).tolist()
        images = {"fixed": pair.fixed[roles[0]], "moving": pair.moving[roles[1]]}
        if self.recipe.randomised:
            images |= {"fixed_loss": pair.fixed[roles[2]], "moving_loss": pair.moving[roles[3]]}
        return images

    def _objective(self, stage: Stage) -> GradICONObjective:
        measure = (SquaredLNCC if self.recipe.squared else LNCC)(stage.sigma)
        regularity = self.recipe.regularity
        return GradICONObjective(
            self.network, measure, regularity, steps=stage.parts, truth_weight=self.recipe.truth
        )

    def _matching(self, stage: Stage) -> dict[str, Tensor]:
        """Return the terms of the next crops' loss; every third step goes on from its own map."""
        while len(self.subjects) < KEPT:
            self.subjects.append(self.next_pair(stage))
        self.subjects.append(self.next_pair(stage))
        alike = easy_share(self._progress(self.stage + self.step / stage.steps), self.recipe.alike)
        halved = HALVED if stage.relative else 0.0
        crops = draw_crops(
            self.subjects,
            stage.size[0],
            stage.batch,
            alike,
            self.random,
            halved,
            recolour=self.recipe.recolour,
        )
        times = 1 if self.step % 3 else MATCHED
        return matching_losses(self._unets()[0], crops, times, relative=stage.relative)

    def _progress(self, rounds: float) -> float:
        """Return how far training is, in first stages; what goes on has the easy part behind."""
        return 1.0 if self.recipe.after else rounds

    def _share_out(self, network: GradICON) -> None:
        """Give all U-Nets what the first has learnt, in the unit cubes of the lattice of each."""
        first, *_ = unets = _unets(network)
        learnt = {name: value.clone() for name, value in first.state_dict().items()}
        whole, crop = self.recipe.size[0], self.recipe.stages[0].size[0]
        for unet, part in zip(unets, (4, 2, 1, 1), strict=True):
            scale = (crop - 1) / (math.ceil(whole / part) - 1)
            last = {name: scale * learnt[name] for name in learnt if name.startswith("lastConv")}
            unet.load_state_dict({**learnt, **last})

    def _unets(self) -> list[UNet]:
        return _unets(self.network)


def _apart(seed: int) -> torch.Generator:
    """Return random numbers of a seed that are not those that its subject is drawn from."""
    return torch.Generator().manual_seed(seed ^ 0x5EED5EED)


def _unets(network: GradICON) -> list[UNet]:
    """Return the four U-Nets in the order in which they act."""
    return [module for module in network.modules() if isinstance(module, UNet)]


class UniRegTraining(Training):
    """UniReg: the tasks come in turn, each as often as its sampling weight says."""

    network: UniReg

    def __init__(self, recipe: Recipe, device: str = "cpu") -> None:
        super().__init__(recipe, device)
        self.network = UniReg().to(device)

    def losses(self, stage: Stage) -> dict[str, Tensor]:
        """Return the terms of the loss of the next subjects of the task whose turn it is."""
        pairs = [self.next_pair(stage) for _ in range(stage.batch)]
        fixed, moving = (torch.stack([getattr(p, s) for p in pairs]) for s in ("fixed", "moving"))
        truth = torch.stack([pair.truth for pair in pairs])
        found: dict[str, Tensor] = self._objective(stage)(
            fixed, moving, _task(pairs[0].region), truth=truth
        )
        return found

    def trained(self, stage: Stage) -> list[nn.Parameter]:
        """Return the weights of the network."""
        return list(self.network.parameters())

    def predict(self, pair: SyntheticPair, stage: Stage) -> Tensor:
        """Return the displacement found for a pair under its task's conditions."""
        return self._objective(stage).displacement(
            pair.moving[None], pair.fixed[None], _task(pair.region)
        )

    def draw(self, seed: int, stage: Stage) -> SyntheticPair:
        """Return the pair of a seed; the tasks come in turn, a batch is of one task."""
        rounds = [name for name in stage.tasks for _ in range(TASKS[name].sampling)]
        task = TASKS[rounds[seed // stage.batch % len(rounds)]]
        shape = [coarser(n, stage.size) for n in task.size]
        random = _apart(seed)
        share = stage.layered if task.region == "brain" else 0.0
        layered = float(torch.rand(1, generator=random)) < share
        return draw_pair(
            seed,
            shape,
            region=task.region,
            pairing=task.type,
            layered=layered,
            device=self.device,
        )

    def enter(self, stage: Stage) -> None:
        """Do nothing: there is no batch norm to settle."""

    def metadata(self) -> dict[str, str]:
        """Return the width, and the body's lattice that the weights are made for."""
        return {"width": "8", "size": str(list(self.recipe.size))}

    def _objective(self, stage: Stage) -> UniRegObjective:
        self.network.freeze_conditions(not stage.conditioned)
        return UniRegObjective(self.network, levels=stage.parts, truth_weight=self.recipe.truth)


def _task(region: str) -> Task:
    """Return the task of a region with the window that suits a coarse lattice."""
    task = TASKS[region]
    across, along, up = (min(n, MOST_WINDOW) for n in task.window)
    return replace(task, window=(across, along, up))


def new_training(recipe: Recipe, device: str = "cpu") -> Training:
    """Return the training of a recipe at its start."""
    kind = UniRegTraining if recipe.model == "unireg" else GradICONTraining
    return kind(recipe, device)
