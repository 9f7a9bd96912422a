"""A network that is trained by a recipe: the steps of its stages and the state to resume from."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from compact.anatomy import People
from compact.muon import Muon
from compact.recipes import Recipe, Stage
from compact.seeds import training_seed
from zoo.synthesis.subjects import SyntheticPair

WARM_UP_STEPS = 50
FINAL_RATE = 0.1
"""Learning rate at the end of a stage, as a share of the rate of the stage."""


class Training(ABC):
    """Base class of the trainings of GradICON and UniReg networks.

    `people` are the persons that the recipe renders, on the device. `stage` and `step` are the
    position in the recipe, `drawn` is the number of subjects drawn for training, and `origin` the
    network of an earlier training, if a share of it is kept.
    """

    network: nn.Module

    def __init__(self, recipe: Recipe, device: str = "cpu", people: People | None = None) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.device = device
        self.people = people or People([], [])
        self.stage = 0
        self.step = 0
        self.drawn = 0
        self.seconds = 0.0
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.optimiser: torch.optim.Optimizer | None = None
        self.origin: dict[str, Tensor] | None = None

    @abstractmethod
    def losses(self, stage: Stage) -> dict[str, Tensor]:
        """Return the terms of the loss of the next batch of subjects; "loss" is their sum."""

    @abstractmethod
    def trained_weights(self, stage: Stage) -> list[nn.Parameter]:
        """Return the weights that a stage trains."""

    @abstractmethod
    def predict(self, pair: SyntheticPair, stage: Stage, moving_contrast: int = 0) -> Tensor:
        """Return the displacement [1, 3, X, Y, Z] in voxels; the fixed image has contrast 0."""

    @abstractmethod
    def draw(self, seed: int, stage: Stage) -> SyntheticPair:
        """Return the pair with this seed on the grid of a stage."""

    @abstractmethod
    def metadata(self) -> dict[str, str]:
        """Return facts about the network for the metadata of its weights file."""

    def enter(self, stage: Stage) -> None:  # noqa: B027 - a hook that only GradICON needs
        """Prepare the network for a stage that begins."""

    def weights(self) -> dict[str, Tensor]:
        """Return the weights to publish."""
        return self.averaged(self.network.state_dict())

    def averaged(self, trained: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the mean of `trained` and of the weights that the recipe continues from.

        The share of each is that of the recipe. The mean keeps what was learnt from the first task
        and most of what was learnt from the second.
        """
        kept = self.recipe.kept_share
        if self.origin is None or not kept:
            return trained
        first = self.origin
        return {
            name: torch.lerp(value, first[name].to(value), kept)
            if value.is_floating_point()
            else value
            for name, value in trained.items()
        }

    def start_from(self, network: dict[str, Tensor], kept: dict[str, Tensor] | None = None) -> None:
        """Begin with the network of another training.

        If the recipe keeps a share of an earlier network, that is `kept` or else `network`.
        """
        self.network.load_state_dict(network)
        self.origin = (kept or network) if self.recipe.kept_share else None

    def run(self) -> Iterator[dict[str, float]]:
        """Take the remaining steps of the recipe and yield the terms of the loss of each."""
        while self.stage < len(self.recipe.stages):
            stage = self.recipe.stages[self.stage]
            if self.optimiser is None:
                self.enter(stage)
                self.optimiser = self._new_optimiser(stage)
            while self.step < stage.steps:
                started = time.monotonic()
                losses = self._take_step(stage, self.optimiser)
                self.step += 1
                self.seconds += time.monotonic() - started
                yield losses
            self.stage, self.step, self.optimiser = self.stage + 1, 0, None

    def next_pair(self, stage: Stage) -> SyntheticPair:
        """Return the next subject; no seed is used twice."""
        pair = self.draw(training_seed(self.recipe, self.drawn), stage)
        self.drawn += 1
        return pair

    def state(self) -> dict[str, Any]:
        """Return everything that is needed to resume."""
        return {
            "network": self.network.state_dict(),
            "optimiser": None if self.optimiser is None else self.optimiser.state_dict(),
            "stage": self.stage,
            "step": self.step,
            "drawn": self.drawn,
            "seconds": self.seconds,
            "random": self.generator.get_state(),
            "origin": self.origin,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Resume from a state that `state` returned."""
        self.network.load_state_dict(state["network"])
        self.stage, self.step = state["stage"], state["step"]
        self.drawn, self.seconds = state["drawn"], state["seconds"]
        self.generator.set_state(state["random"].cpu())
        self.origin = state.get("origin")
        if state["optimiser"] is not None:
            self.optimiser = self._new_optimiser(self.recipe.stages[self.stage])
            self.optimiser.load_state_dict(state["optimiser"])

    def _new_optimiser(self, stage: Stage) -> torch.optim.Optimizer:
        return Muon(self.trained_weights(stage), stage.rate, stage.matrix_rate)

    def _take_step(self, stage: Stage, optimiser: torch.optim.Optimizer) -> dict[str, float]:
        for group in optimiser.param_groups:
            group["lr"] = stage.rate * rate_share(self.step, stage.steps)
        optimiser.zero_grad()
        losses = self.losses(stage)
        if not torch.isfinite(losses["loss"]):
            value = float(losses["loss"])
            raise SystemExit(f"The loss became {value} at subject {self.drawn - 1}.")
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(self.trained_weights(stage), 1.0)
        optimiser.step()
        return {name: float(value.detach()) for name, value in losses.items()}


def rate_share(step: int, steps: int) -> float:
    """Return the learning rate of a step as a share: linear warm-up, then a linear decrease."""
    return min(1.0, (step + 1) / WARM_UP_STEPS) * (1 - (1 - FINAL_RATE) * step / steps)
