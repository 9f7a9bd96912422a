"""The memory budget: change settings until a run fits into the memory that the user allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, prod
from typing import Any

from zoo.errors import UserError
from zoo.hub.specs import MemoryStep, ModelSpec
from zoo.measures.resolution import MOST_REFINED
from zoo.planning import memory
from zoo.planning.evidence import Choice, Evidence, UserOptions
from zoo.planning.memory import IMAGES, MemoryModel, find_memory_model, measurement_name


def within_memory(
    evidence: Evidence, spec: ModelSpec, options: UserOptions, chosen: Mapping[str, Choice]
) -> dict[str, Choice]:
    """Return the changes with which a run fits into the budget, each with its reason.

    A harsher step is taken only where no combination of the milder ones is enough. The user's own
    settings are never changed. If nothing is enough, `UserError` states the numbers.
    """
    budget = options.memory_mib
    if budget is None:
        return {}
    _check_images(evidence, budget)
    settings = {name: choice.value for name, choice in chosen.items()} | dict(options.settings)
    voxels, width = working_voxels(evidence, spec, settings), options.widths.get(spec.name)
    model = find_memory_model(measurement_name(spec, settings, width))

    def need(steps: Sequence[MemoryStep]) -> float:
        name = measurement_name(spec, settings | {s.setting: s.value for s in steps}, width)
        measured = memory.memory_models().get(name)
        return measured.peak_mib(voxels) if measured else inf

    known = spec.memory.steps if spec.memory else ()
    steps = [step for step in known if step.setting not in options.settings]
    mixes = [[s for k, s in enumerate(steps) if n >> k & 1] for n in range(1 << len(steps))]
    taken = next((mix for mix in mixes if need(mix) <= budget), None)
    if taken is None:
        shortage = _shortage(min(map(need, mixes)), budget)
        if spec.planning.working_grid.kind != "spacing" or "spacing" in options.settings:
            raise UserError(f"{spec.name}: {shortage}; allow more, or use another --model")
        return _coarser(evidence, spec, model, voxels, budget, shortage)
    changes = {}
    for n, step in enumerate(taken):
        reduced = _amount(need(taken[: n + 1]))
        reason = f"{_shortage(need(taken[:n]), budget)}: {step.meaning} reduces it to {reduced}"
        changes[step.setting] = Choice(step.value, f"memory.{step.setting}", reason)
    return changes


def _check_images(evidence: Evidence, budget: float) -> None:
    """Refuse images that do not fit into the budget without any model."""
    voxels = max(int(evidence.channel(side).get("largest_voxels", 0)) for side in (0, 1))
    need = find_memory_model(IMAGES).peak_mib(voxels)
    if need > budget:
        raise UserError(
            f"the images alone (up to {voxels / 1e6:.3g} million voxels) need {_amount(need)}, and "
            f"--memory allows {_amount(budget)}; allow more, or crop the images"
        )


def _coarser(
    evidence: Evidence,
    spec: ModelSpec,
    model: MemoryModel,
    voxels: float,
    budget: float,
    shortage: str,
) -> dict[str, Choice]:
    """Return the spacing, mm, at which the working grid has no more voxels than fit."""
    if voxels > model.largest:
        shortage += f" (extrapolated: measured up to {model.largest / 1e6:.2g} million voxels)"
    room = model.most_voxels(budget)
    if room < spec.planning.working_grid.fewest_voxels:
        raise UserError(f"{spec.name}: {shortage}; allow more")
    largest_mm3 = prod(evidence.channel(0)["field_mm"]["p100"])
    spacing = round((largest_mm3 / room) ** (1 / 3) + 0.005, 2)
    return {"spacing": Choice(spacing, "memory.spacing", f"{shortage}: a coarser working grid")}


def _shortage(need: float, budget: float) -> str:
    return f"a run needs {_amount(need)}, and --memory allows {_amount(budget)}"


def _amount(mib: float) -> str:
    return f"{mib:.0f} MiB" if mib >= 10 else f"{mib:.2g} MiB"


def working_voxels(evidence: Evidence, spec: ModelSpec, settings: Mapping[str, Any]) -> float:
    """Return the number of voxels of the largest grid that a model works on."""
    if spec.planning.working_grid.kind == "spacing":
        voxels = _isotropic_voxels(evidence, spec, settings.get("spacing"))
        return min(voxels, float(settings.get("most_voxels") or inf))
    if "size" in settings:
        size = settings["size"]
        if not isinstance(size, list) or not all(isinstance(n, int) for n in size):
            raise UserError(f"--set size={size} must be three whole numbers, such as [96, 96, 96]")
        return float(prod(size))
    from zoo.networks.unireg_tasks import BODY, TASKS

    region = settings.get("region")
    task = TASKS.get(region) if isinstance(region, str) else None
    return float(prod(task.size if task else BODY))


def _isotropic_voxels(evidence: Evidence, spec: ModelSpec, spacing: float | None) -> float:
    """Return the voxels of the largest fixed field of view in isotropic steps.

    The step is `spacing` mm, by default the finest spacing of the fixed images, whose grids are
    refined to a limited number of voxels.
    """
    channel = evidence.channel(0)
    if "field_mm" not in channel:
        return 0.0
    step = spacing or min(channel["spacing_mm"]["p0"])
    if not isinstance(step, (int, float)) or step <= 0:
        raise UserError(f"--set spacing={step} must be a length in mm, such as 1.5")
    smallest = step**3
    if not spacing:
        smallest = max(smallest, prod(channel["spacing_mm"]["p0"]) / MOST_REFINED)
    voxels = prod(channel["field_mm"]["p100"]) / smallest
    most = spec.planning.working_grid.most_voxels
    return float(voxels if most is None else min(voxels, most))
