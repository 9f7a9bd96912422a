"""UniReg's training: its tasks as sources of pairs, and its two stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from zoo.errors import UserError
from zoo.networks import UniReg
from zoo.networks.unireg_tasks import TASKS
from zoo.registration.intensity import UniRegIntensity
from zoo.registration.unireg import UniRegInferer, lattice
from zoo.registration.working_grid import AnatomicalFrame
from zoo.training.objectives import UniRegObjective
from zoo.training.preparation import PairPreparation
from zoo.training.source import Draw, TrainingSource


def task_source(
    folder: str | Path,
    *,
    region: str | None,
    type: Literal["inter", "intra"] | None = None,
    size: Sequence[int] | None = None,
    window: Sequence[int] | None = None,
    smoothness: float | None = None,
    weight: float | None = None,
    affine: str | None = None,
    crop: bool = False,
    fixed_modality: str | None = None,
    moving_modality: str | None = None,
    split: str = "train",
    draw: Draw = "auto",
    content: str | None = None,
) -> TrainingSource:
    """Return a dataset as one of UniReg's tasks; the defaults are those published for its region.

    `size` counts voxels left to right, back to front and foot to head. `window` is the size of the
    local correlation, foot to head first. With an `affine` alignment the network sees the moving
    image aligned, and only the residual flow is smoothed; the default is "auto" for the tasks that
    were published with aligned images, "none" otherwise. A `region` of None lets a workflow be
    inspected; running it asks for the region.
    """
    if region is not None and (not isinstance(region, str) or region not in TASKS):
        raise UserError(f"the region {region!r} is unknown; use one of {', '.join(TASKS)}")
    published = TASKS[region or "abdomen"]
    across, along, up = size or lattice(published.region)
    changes: dict[str, Any] = {
        "type": type,
        "window": None if window is None else tuple(window),
        "smoothness": smoothness,
        "size": (up, along, across),
    }
    task = replace(published, **{k: v for k, v in changes.items() if v is not None})
    inferer = UniRegInferer(
        AnatomicalFrame((across, along, up), crop=crop),
        intensity=UniRegIntensity(fixed_modality),
        moving_intensity=UniRegIntensity(moving_modality),
        affine=affine or ("auto" if task.prealigned else "none"),
    )
    return TrainingSource(
        folder,
        PairPreparation(inferer),
        split=split,
        draw=draw,
        weight=published.sampling if weight is None else weight,
        content=content,
        task={"task": task},
    )


def unireg_objective(network: UniReg, stage: Literal[1, 2] = 2) -> UniRegObjective:
    """Return the objective of a stage; stage 1 trains flow heads that do not depend on conditions.

    In stage 2 the conditions of a pair write the weights of its flow heads.
    """
    if stage not in (1, 2):
        raise UserError(f"UniReg is trained in stages 1 and 2; stage {stage!r} does not exist")
    network.freeze_conditions(stage == 1)
    return UniRegObjective(network)
