"""Plan a dataset: from a dataset, a fingerprint or an earlier plan to a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from zoo.datasets.reading import read_dataset
from zoo.errors import UserError
from zoo.hub.own_models import find_own_model
from zoo.hub.specs import NORMAL
from zoo.hub.weights import models_here, models_to_choose, variants_here, weights_here
from zoo.io.atomic import check_writable, write_json
from zoo.io.json_documents import read_json_object, report_missing_keys
from zoo.pipelines.options import modality_by_slot
from zoo.pipelines.settings import resolve_settings
from zoo.planning.effort import with_effort
from zoo.planning.evidence import UserOptions
from zoo.planning.fingerprint import read_fingerprint, take_fingerprint
from zoo.planning.memory import parse_memory
from zoo.planning.plan import Plan, difference, explain, make_plan, override, read_plan
from zoo.planning.rules import check_options
from zoo.planning.weights import for_own_model, record_weights, with_own_model


def plan(
    source: str | PathLike[str],
    *,
    out: str | PathLike[str] | None = None,
    anatomy: str | None = None,
    modality: Sequence[str] | Mapping[Any, str] | None = None,
    pairing: Literal["intra", "inter"] | None = None,
    model: str | None = None,
    memory: str | None = None,
    effort: Literal["fast", "normal", "best"] | None = None,
    settings: Mapping[str, Any] | None = None,
    name: str = "custom",
    accept_guess: bool = False,
    force: bool = False,
) -> Plan:
    """Plan how the pairs of a dataset are registered, and return the plan.

    A plan holds the settings of a model's bundle; its section "plan" gives the reason of each.

    Args:
        source: The folder of a dataset or its dataset.json, a fingerprint, or a plan to change.
        out: The file to which the plan is written.
        anatomy: What the images show, such as brain, lung or abdomen.
        modality: The modalities by slot, such as ("ct", "mr") or {1: "mr"}: ct, cbct, mr, us, pet.
        pairing: intra if the images of a pair show one patient, inter if they show two.
        model: The model to use instead of the one that the presets recommend, or one of your own by
            its name or its folder.
        memory: The most memory that a run may take, such as 8GB.
        effort: How much is computed: fast, normal or best. The default is normal, or the effort of
            a plan that is changed.
        settings: Settings of the bundle that replace those of the plan, such as {"affine": "none"}.
        name: The name of a plan with `settings`.
        accept_guess: Choose a model that suits any pair if a fact about the images is unknown. If
            false, a `UserError` names the missing facts.
        force: Plan with weights that are for pairs of one contrast also for pairs of two, for
            example to train them further.
    """
    if out is not None:
        check_writable(out)
    changes = resolve_settings(settings)
    own = None if model is None else find_own_model(model)
    found = weights_here()
    options = UserOptions(
        anatomy=anatomy,
        modality=modality_by_slot(modality),
        pairing=pairing,
        model=model,
        memory_mib=parse_memory(memory) if memory else None,
        effort=effort or NORMAL,
        accept_guess=accept_guess,
        settings=changes,
        available=models_to_choose(found),
        widths=models_here(found),
        variants=variants_here(found),
        force=force,
    )
    if own is not None:
        options = for_own_model(options, own)
    check_options(options)
    planned = _plan_of(Path(source), options)
    with report_missing_keys(source):
        if effort is not None:
            planned = with_effort(planned, effort)
        if own is not None:
            planned = with_own_model(planned, own)
        if changes:
            planned = override(planned, name, changes)
        if own is not None or "weights" in changes or "weights" not in planned["plan"]:
            planned = record_weights(planned)
    if out is not None:
        write_json(out, planned)
    return planned


def _plan_of(source: Path, options: UserOptions) -> Plan:
    """Return the plan of a dataset, of a fingerprint, or the plan that `source` is."""
    keys = set(read_json_object(source)) if source.is_file() and source.suffix == ".json" else set()
    if "plan" in keys:
        if options != UserOptions(
            effort=options.effort,
            settings=options.settings,
            available=options.available,
            widths=options.widths,
            variants=options.variants,
            force=options.force,
        ):
            raise UserError(
                f"{source} is a plan already; change its settings with --set, or plan its dataset "
                "again"
            )
        return read_plan(source)
    if "channels" in keys:
        with report_missing_keys(source):
            return make_plan(read_fingerprint(source), options)
    return make_plan(take_fingerprint(read_dataset(source)).document, options)


def plan_difference(first: str | PathLike[str], second: str | PathLike[str]) -> str:
    """Return the settings in which two plans differ, one per line."""
    with report_missing_keys(f"{first} or {second}"):
        return difference(read_plan(first), read_plan(second))


def explanation(plan: Plan, source: str | PathLike[str]) -> str:
    """Return every value of a plan with its rule and reason; errors name the file `source`."""
    with report_missing_keys(source):
        return explain(plan)


def describe_choice(plan: Plan) -> str:
    """Return the model that a plan chose, with the reason, and its warnings, one per line."""
    section = plan["plan"]
    lines = [f"{section['model']}: {section['choices']['model']['because']}"]
    return "\n".join(lines + [f"caution: {text}" for text in section["cautions"]])
