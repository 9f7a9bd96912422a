"""Training of GradICON networks."""

from __future__ import annotations

import math
from collections import deque
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from compact.anatomy import People
from compact.crops import HALF_RESOLUTION_SHARE, KEPT_SUBJECTS, draw_crops, easy_share
from compact.matching import MAX_PASSES, matched, matching_losses, set_slope_filters
from compact.persons import draw_person_crops, person_losses
from compact.recipes import SHAPES, Recipe, Stage
from compact.seeds import (
    FIRST_VALIDATION_SEED,
    independent_generator,
    training_seed,
)
from compact.subjects import Subject, draw_known, draw_persons, draw_subject, whole_batch
from compact.training import Training
from zoo.losses import LNCC, SquaredLNCC
from zoo.networks import GradICON
from zoo.networks.recolour import recoloured
from zoo.networks.unet import UNet
from zoo.synthesis.rendered_pairs import PersonPair
from zoo.synthesis.subjects import SyntheticPair
from zoo.training.objectives import GradICONObjective

WIDTH = 8
CROP_SIZE = 32
"""Voxels of the crops on which a single U-Net is trained."""
FIRST_UNET = "netPhi.netPhi.net.netPhi.net.net."
"""Prefix of the names of the first U-Net in the state dict of the network."""
CALIBRATION_STEPS = 12
"""Batches from which the statistics of the batch norm are taken."""
CROPS_PER_SUBJECT = 16
"""Crops for each new subject."""
OVERLAP_WEIGHT = 1.0
"""Weight of the overlap of two persons, relative to the error of known displacements."""
MIN_CLEAN_SHARE = 0.2
"""Share of subjects without noise once training is past its easy part."""


class GradICONTraining(Training):
    """Training of a GradICON network in inference mode.

    A stage of one part trains the first U-Net alone, on crops; the next stage starts with four
    copies of it. The statistics of the batch norm are taken once, at the start, and only its scale
    and shift are trained: a batch of one would otherwise train on statistics that inference never
    sees.
    """

    network: GradICON

    def __init__(self, recipe: Recipe, device: str = "cpu", people: People | None = None) -> None:
        super().__init__(recipe, device, people)
        self.network = GradICON(width=WIDTH, recolour=recipe.recolour).to(device).eval()
        self.subjects: deque[SyntheticPair | PersonPair] = deque(maxlen=KEPT_SUBJECTS)

    def losses(self, stage: Stage) -> dict[str, Tensor]:
        """Return the terms of the loss of the next subjects; each image has a random contrast."""
        if stage.parts == 1:
            return self._crop_losses(stage)
        if self.recipe.mixture != SHAPES:
            return self._whole_losses(stage)
        pairs = [self.next_pair(stage) for _ in range(stage.batch)]
        subjects = [self._images(pair) for pair in pairs]
        batch = {name: torch.stack([s[name] for s in subjects])[:, None] for name in subjects[0]}
        truth = torch.stack([pair.truth for pair in pairs])
        losses: dict[str, Tensor] = self._objective(stage)(
            **batch, truth=truth, generator=self.generator
        )
        return losses

    def trained_weights(self, stage: Stage) -> list[nn.Parameter]:
        """Return the weights of the U-Nets of a stage."""
        unets = unets_of(self.network)[: stage.parts]
        return [weight for unet in unets for weight in unet.parameters()]

    def predict(self, pair: SyntheticPair, stage: Stage, moving_contrast: int = 0) -> Tensor:
        """Return the displacement [1, 3, X, Y, Z] in voxels; the fixed image has contrast 0."""
        moving, fixed = pair.moving[None, moving_contrast, None], pair.fixed[None, :1]
        if stage.parts == 1:
            moving = recoloured(moving, fixed) if self.recipe.recolour else moving
            return matched(unets_of(self.network)[0], moving, fixed, MAX_PASSES)[-1]
        return self._objective(stage).displacement(moving, fixed)

    def draw(self, seed: int, stage: Stage) -> SyntheticPair:
        """Return the pair with this seed; every second subject for crops is twice as large."""
        pair = self._subject(seed, stage, known=True)
        assert isinstance(pair, SyntheticPair)
        return pair

    def enter(self, stage: Stage) -> None:
        """Initialise the first U-Net, or copy it to the others once they train together."""
        first, second, *_ = unets_of(self.network)
        if first.lastConv.weight.any():
            if stage.parts > 1 and not second.lastConv.weight.any():
                self._copy_first_unet(self.network)
            return
        set_slope_filters(first)
        first.train()
        for norm in first.batchNorms:
            assert isinstance(norm, nn.BatchNorm3d)
            norm.reset_running_stats()
            norm.momentum = None  # the statistics are a plain average of all batches
        with torch.no_grad():
            for _ in range(CALIBRATION_STEPS):
                self._crop_losses(stage)
        self.network.eval()

    def state(self) -> dict[str, Any]:
        """Return everything that is needed to resume, without U-Nets that are not yet trained."""
        state = super().state()
        if not self._is_one_trained():
            return state
        first = {f"{FIRST_UNET}{n}" for n in unets_of(self.network)[0].state_dict()}
        return {**state, "network": {n: v for n, v in state["network"].items() if n in first}}

    def load(self, state: dict[str, Any]) -> None:
        """Resume from a state, and draw the recent subjects again."""
        network = {**self.network.state_dict(), **state["network"]}
        super().load({**state, "network": network})
        stage = self.recipe.stages[min(self.stage, len(self.recipe.stages) - 1)]
        if stage.parts == 1:
            numbers = range(max(self.drawn - KEPT_SUBJECTS, 0), self.drawn)
            seeds = (training_seed(self.recipe, number) for number in numbers)
            self.subjects.extend(self._subject(seed, stage) for seed in seeds)

    def start_from(self, network: dict[str, Tensor], kept: dict[str, Tensor] | None = None) -> None:
        """Begin with another network; a stage that trains one U-Net needs only the first."""
        super().start_from({**self.network.state_dict(), **network}, kept)
        if self.recipe.stages[0].parts == 1:
            for unet in unets_of(self.network)[1:]:
                nn.init.zeros_(unet.lastConv.weight)

    def weights(self) -> dict[str, Tensor]:
        """Return the weights to publish.

        While the first U-Net is trained alone, the others are copies of it.
        """
        network = deepcopy(self.network)
        network.load_state_dict(self.averaged(self.network.state_dict()))
        if self._is_one_trained():
            self._copy_first_unet(network)
        return network.state_dict()

    def metadata(self) -> dict[str, str]:
        """Return the width, the grid that the weights are made for, and whether they recolour."""
        facts = {"width": str(WIDTH), "size": str(list(self.recipe.size))}
        return {**facts, "recolour": "true"} if self.recipe.recolour else facts

    def _is_one_trained(self) -> bool:
        """Return whether the first U-Net is trained alone so far."""
        return not unets_of(self.network)[1].lastConv.weight.any()

    def _images(self, pair: SyntheticPair) -> dict[str, Tensor]:
        """Return the images [X, Y, Z] of the network and, if they differ, those of the loss."""
        roles = torch.randint(self.recipe.contrasts, (4,), generator=self.generator).tolist()
        images = {"fixed": pair.fixed[roles[0]], "moving": pair.moving[roles[1]]}
        if self.recipe.randomised_loss:
            images |= {"fixed_loss": pair.fixed[roles[2]], "moving_loss": pair.moving[roles[3]]}
        return images

    def _whole_losses(self, stage: Stage) -> dict[str, Tensor]:
        """Return the terms of the loss of the next pair, compared in a contrast that both have.

        The network sees random contrasts. One person has a known displacement, and two persons have
        the overlap of the labels that both show.
        """
        pair = self._subject(training_seed(self.recipe, self.drawn), stage)
        self.drawn += 1
        objective = self._objective(stage)
        batch = whole_batch(pair, self.recipe.same_contrast_share, self.generator)
        if "fixed_labels" in batch:
            objective.dice_weight = OVERLAP_WEIGHT
        losses: dict[str, Tensor] = objective(**batch, generator=self.generator)
        return losses

    def _objective(self, stage: Stage) -> GradICONObjective:
        correlation = SquaredLNCC if self.recipe.squared_correlation else LNCC
        return GradICONObjective(
            self.network,
            correlation(stage.sigma),
            self.recipe.regularity_weight,
            steps=stage.parts,
            truth_weight=self.recipe.truth_weight,
        )

    def _crop_losses(self, stage: Stage) -> dict[str, Tensor]:
        """Return the terms of the loss of the next crops; every third step makes two passes."""
        first, last = (n * stage.batch // CROPS_PER_SUBJECT for n in (self.step, self.step + 1))
        new = last - first
        for _ in range(KEPT_SUBJECTS - len(self.subjects) + new):
            seed = training_seed(self.recipe, self.drawn)
            self.subjects.append(self._subject(seed, stage))
            self.drawn += 1
        progress = self._progress(self.stage + self.step / stage.steps)
        settings = (
            easy_share(progress, self.recipe.same_contrast_share),
            self.generator,
            HALF_RESOLUTION_SHARE if stage.relative else 0.0,
        )
        recolour = self.recipe.recolour
        passes = 1 if self.step % 3 else MAX_PASSES
        unet = unets_of(self.network)[0]
        known = [pair for pair in self.subjects if isinstance(pair, SyntheticPair)]
        persons = [pair for pair in self.subjects if isinstance(pair, PersonPair)]
        person_count = round(stage.batch * len(persons) / len(self.subjects))
        size, count = stage.size[0], stage.batch - person_count
        crops = draw_crops(known, size, count, *settings, recolour=recolour)
        losses = matching_losses(unet, crops, passes, relative=stage.relative)
        if not person_count:
            return losses
        pairs = draw_person_crops(persons, size, person_count, *settings, recolour=recolour)
        if pairs is None:
            return losses
        overlap, consistency = person_losses(unet, pairs, passes, self.generator)
        loss = losses["loss"] + OVERLAP_WEIGHT * overlap
        loss = loss + self.recipe.regularity_weight * consistency
        return {**losses, "loss": loss, "overlap": overlap, "consistency": consistency}

    def _subject(
        self, seed: int, stage: Stage, *, known: bool = False
    ) -> SyntheticPair | PersonPair:
        """Return the subject with this seed, with a known displacement if `known`."""
        size, clean, layered, kind = stage.size, False, False, Subject("shapes")
        generator = independent_generator(seed)
        if stage.parts == 1 and seed < FIRST_VALIDATION_SEED:
            number = seed - training_seed(self.recipe, 0)
            rounds = (number - KEPT_SUBJECTS) / self.recipe.stages[0].steps
            share = easy_share(self._progress(rounds), MIN_CLEAN_SHARE)
            clean = float(torch.rand(1, generator=generator)) < share
            layered = float(torch.rand(1, generator=generator)) < stage.layered_share
            size = size if number % 2 else (2 * size[0], 2 * size[1], 2 * size[2])
        if self.recipe.mixture != SHAPES:
            kind = draw_subject(self.recipe.mixture, generator)
        if kind.source != "shapes" and stage.parts == 1 and seed < FIRST_VALIDATION_SEED:
            size = (2 * stage.size[0], 2 * stage.size[1], 2 * stage.size[2])
        contrasts = self.recipe.contrasts
        whole = stage.parts > 1
        if kind.two and not known:
            return draw_persons(
                seed, kind.source, size, self.people, contrasts=contrasts, whole=whole
            )
        return draw_known(
            seed,
            kind.source,
            size,
            self.people,
            contrasts=contrasts,
            whole=whole,
            clean=clean,
            layered=layered,
            device=self.device,
        )

    def _progress(self, rounds: float) -> float:
        """Return the progress in lengths of the first stage; 1 if the recipe continues another."""
        return 1.0 if self.recipe.continues else rounds

    def _copy_first_unet(self, network: GradICON) -> None:
        """Copy the first U-Net to the others, scaled to the unit cube of the lattice of each."""
        first, *_ = unets = unets_of(network)
        trained = {name: value.clone() for name, value in first.state_dict().items()}
        whole, crop = self.recipe.size[0], CROP_SIZE
        for unet, factor in zip(unets, (4, 2, 1, 1), strict=True):
            scale = (crop - 1) / (math.ceil(whole / factor) - 1)
            last = {name: scale * trained[name] for name in trained if name.startswith("lastConv")}
            unet.load_state_dict({**trained, **last})


def unets_of(network: GradICON) -> list[UNet]:
    """Return the four U-Nets in the order in which they act."""
    return [module for module in network.modules() if isinstance(module, UNet)]
