"""UniReg's training: a table of tasks, and its two stages."""

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
    """Return a dataset as one of the tasks; what is not said is as the region was trained with.

    `size` counts voxels side to side, back to front and foot to head; `window` is that of the
    local correlation, foot to head first. With an `affine` start the moving image is aligned before
    the network sees it, so that the smoothness is that of the residual flow alone; the published
    tasks that came prealigned have one unless told otherwise. A `region` of None stands for one
    that is not yet told: the workflow can be looked at, and running it asks.
    """
    if region is not None and (not isinstance(region, str) or region not in TASKS):
        raise UserError(f"the region {region!r} is not known; use one of {', '.join(TASKS)}")
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
        inferer,
        split=split,
        draw=draw,
        weight=published.sampling if weight is None else weight,
        content=content,
        task={"task": task},
    )


def unireg_objective(network: UniReg, stage: Literal[1, 2] = 2) -> UniRegObjective:
    """Return the objective of a stage: the first keeps every flow head the same for all pairs."""
    if stage not in (1, 2):
        raise UserError(f"UniReg is trained in stages 1 and 2, not {stage!r}")
    network.freeze_conditions(stage == 1)
    return UniRegObjective(network)
