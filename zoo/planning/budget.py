"""Making a run fit into the memory that a user allows, one named step after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, prod
from typing import Any

from zoo.errors import UserError
from zoo.planning import memory
from zoo.planning.evidence import Choice, Facts, UserOptions
from zoo.planning.memory import IMAGES, MemoryModel, find_memory_model, memory_case

MCBO_MOST_VOXELS = 320**3
MCBO_FEWEST_VOXELS = 40**3


@dataclass(frozen=True)
class MemoryStep:
    """A setting that makes a run smaller, and what it means."""

    name: str
    value: Any
    meaning: str


_GRADICON = (
    MemoryStep("precision", "bfloat16", "half precision"),
    MemoryStep("refine_mode", "field", "the field is refined, not the weights"),
    MemoryStep("refine", 0, "no refinement"),
)
STEPS: Mapping[str, tuple[MemoryStep, ...]] = {
    "mcbo": (),
    "unigradicon": _GRADICON,
    "multigradicon": _GRADICON,
    "unireg": (MemoryStep("refine", 0, "no refinement"),),
}
"""What makes a run of a model smaller, the mildest first; MCBO takes a coarser grid instead."""


def within_memory(
    facts: Facts, model: str, wishes: UserOptions, chosen: Mapping[str, Choice]
) -> dict[str, Choice]:
    """Change what has to change for a run to fit, and say what each change gives.

    A harsher step is only taken where no mix of the milder ones is enough. What the user sets stays
    as it is. Where nothing is enough, the plan is refused with the numbers.
    """
    budget = wishes.memory_mib
    if budget is None:
        return {}
    _check_images(facts, budget)
    settings = {name: choice.value for name, choice in chosen.items()} | dict(wishes.settings)
    voxels, width = working_voxels(facts, model, settings), wishes.widths.get(model)
    line = find_memory_model(memory_case(model, settings, width))

    def need(steps: Sequence[MemoryStep]) -> float:
        case = memory_case(model, settings | {s.name: s.value for s in steps}, width)
        found = memory.memory_models().get(case)
        return found.peak_mib(voxels) if found else inf

    steps = [step for step in STEPS[model] if step.name not in wishes.settings]
    mixes = [[s for k, s in enumerate(steps) if n >> k & 1] for n in range(1 << len(steps))]
    taken = next((mix for mix in mixes if need(mix) <= budget), None)
    if taken is None:
        least = min(map(need, mixes))
        told = f"{least:.0f} MiB would be needed, {budget:.0f} MiB are allowed"
        if model != "mcbo" or "spacing" in wishes.settings:
            raise UserError(f"{model}: {told}; allow more, or use another --model")
        return _coarser(facts, line, voxels, budget, told)
    out = {}
    for n, step in enumerate(taken):
        because = (
            f"{need(taken[:n]):.0f} MiB would be needed, {budget:.0f} MiB are allowed: "
            f"{step.meaning} ({need(taken[: n + 1]):.0f} MiB)"
        )
        out[step.name] = Choice(step.value, f"memory.{step.name}", because)
    return out


def _check_images(facts: Facts, budget: float) -> None:
    """Refuse images that do not fit by themselves."""
    voxels = max(int(facts.channel(side).get("largest_voxels", 0)) for side in (0, 1))
    need = find_memory_model(IMAGES).peak_mib(voxels)
    if need > budget:
        raise UserError(
            f"the images alone need {need:.0f} MiB (up to {voxels / 1e6:.3g} million voxels), "
            f"{budget:.0f} MiB are allowed; allow more, or crop them"
        )


def _coarser(
    facts: Facts, line: MemoryModel, voxels: float, budget: float, told: str
) -> dict[str, Choice]:
    """Return the spacing, mm, at which MCBO works on no more voxels than fit."""
    if voxels > line.largest:
        told += f" (measured up to {line.largest / 1e6:.2g} million voxels, a line beyond)"
    room = line.most_voxels(budget)
    if room < MCBO_FEWEST_VOXELS:
        raise UserError(f"mcbo: {told}; allow more")
    finest = min(facts.channel(0)["spacing_mm"]["p0"])
    spacing = round(finest * (voxels / room) ** (1 / 3) + 0.005, 2)
    return {"spacing": Choice(spacing, "memory.spacing", f"{told}: a coarser grid, in mm")}


def working_voxels(facts: Facts, model: str, settings: Mapping[str, Any]) -> float:
    """Return the most voxels of the grid that a model works on."""
    if model == "mcbo":
        return _mcbo_voxels(facts, settings.get("spacing"))
    if "size" in settings:
        size = settings["size"]
        if not isinstance(size, list) or not all(isinstance(n, int) for n in size):
            raise UserError(f"--set size={size} must be three whole numbers, such as [96, 96, 96]")
        return float(prod(size))
    from zoo.networks.unireg_tasks import BODY, TASKS

    region = settings.get("region")
    task = TASKS.get(region) if isinstance(region, str) else None
    return float(prod(task.size if task else BODY))


def _mcbo_voxels(facts: Facts, spacing: float | None) -> float:
    """Return the voxels of the largest fixed field of view in steps of its finest spacing."""
    channel = facts.channel(0)
    if "field_mm" not in channel:
        return 0.0
    step = spacing or min(channel["spacing_mm"]["p0"])
    if not isinstance(step, (int, float)) or step <= 0:
        raise UserError(f"--set spacing={step} must be a length in mm, such as 1.5")
    return min(prod(channel["field_mm"]["p100"]) / step**3, float(MCBO_MOST_VOXELS))
