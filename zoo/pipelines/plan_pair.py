"""The plan of one pair: newly made from its images, or read from a file and checked for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from zoo.datasets.pairs import PairFiles
from zoo.errors import UserError
from zoo.hub.catalogue import find_model
from zoo.hub.own_models import OwnModel
from zoo.hub.specs import NORMAL
from zoo.hub.weights import (
    find_weights,
    models_here,
    models_to_choose,
    models_without_weights,
    variants_here,
    weights_here,
)
from zoo.io.volume import Volume, read_volume
from zoo.pipelines.options import RegistrationOptions
from zoo.planning.effort import with_effort
from zoo.planning.evidence import UserOptions
from zoo.planning.fingerprint import pair_fingerprint
from zoo.planning.memory import parse_memory
from zoo.planning.plan import Plan, for_a_pair, make_plan, read_plan, with_user_settings
from zoo.planning.rules import check_options
from zoo.planning.weights import (
    for_one_contrast,
    for_own_model,
    record_weights,
    refuse_unsuitable_weights,
    two_contrasts_of_pair,
    with_own_model,
)


def plan_pair(
    options: RegistrationOptions,
    files: PairFiles,
    settings: Mapping[str, Any],
    own: OwnModel | None = None,
    read: Callable[[Path], Volume] = read_volume,
    fingerprint: Callable[..., dict[str, Any]] = pair_fingerprint,
) -> Plan | None:
    """Return the plan of a pair, newly made or read from a file; None with the option `bundle`.

    The plan states the `settings` and the weights of the user, so that it reproduces the
    registration. `own` is the model of one's own that the option `model` names. `read` reads the
    images, and `fingerprint` takes their fingerprint.
    """
    facts = {
        "--anatomy": options.anatomy,
        "--modality": options.modality,
        "--pairing": options.pairing,
        "--memory": options.memory,
    }
    if options.bundle is not None:
        _refuse(
            facts
            | {"--model": options.model != "auto", "--plan": options.plan}
            | {"--effort": options.effort},
            "--bundle runs with its own settings and makes no plan, so it cannot be combined with "
            "{}; change its settings with --set",
        )
        return None
    if options.plan is not None:
        _refuse(
            facts | {"--model": options.model != "auto"},
            "--plan has already decided what {} would; leave that out, or make a new plan",
        )
        plan = for_a_pair(read_plan(options.plan))
        if options.effort is not None:
            plan = with_effort(plan, options.effort)
        take = partial(_fingerprint, options, files, read, fingerprint, aligned=True)
        _refuse_unsuitable(options, plan, take)
        return _with_options(plan, options, settings)
    wishes = _user_options(options, files, settings, own)
    check_options(wishes)
    trained_models = set(wishes.available) - set(models_without_weights())
    aligned = bool(trained_models) or options.model != "auto"
    measured = _fingerprint(options, files, read, fingerprint, aligned=aligned)
    plan = make_plan(measured, wishes)
    if own is not None:
        plan = with_own_model(plan, own)
    return record_weights(_with_options(plan, options, settings))


def _with_options(plan: Plan, options: RegistrationOptions, settings: Mapping[str, Any]) -> Plan:
    """Return a plan with the settings and the weights of the user, if there are any."""
    changed = with_user_settings(plan, settings)
    if options.weights is not None and find_model(plan["plan"]["model"]).learned:
        weights = {"weights": str(options.weights)}
        changed = with_user_settings(changed, weights, "the option")
    return changed if changed.get("weights") == plan.get("weights") else record_weights(changed)


def _fingerprint(
    options: RegistrationOptions,
    files: PairFiles,
    read: Callable[[Path], Volume],
    fingerprint: Callable[..., dict[str, Any]],
    *,
    aligned: bool,
) -> dict[str, Any]:
    """Return the fingerprint of a pair; without `aligned` its alignment is not measured."""
    return fingerprint(
        files.fixed,
        files.moving[0],
        aligned=aligned,
        read=read,
        volume=options.volume,
        fixed_points=files.fixed_points,
        moving_points=files.moving_points,
        points_space=files.points_space,
    )


def _refuse_unsuitable(
    options: RegistrationOptions, plan: Plan, take: Callable[[], dict[str, Any]]
) -> None:
    """Refuse weights for pairs of one contrast if this pair, or those planned for, are of two.

    `take` returns the fingerprint of the pair.
    """
    model = plan["plan"]["model"]
    wanted = plan.get("weights") if options.weights is None else str(options.weights)
    if options.force or for_one_contrast(model, wanted) is None:
        return
    measured = two_contrasts_of_pair(take(), plan)
    refuse_unsuitable_weights(plan["plan"], wanted, measured)


def _refuse(flags: Mapping[str, Any], message: str) -> None:
    """Raise `UserError` if any of `flags` was given; {} in `message` names them."""
    given = [flag for flag, value in flags.items() if value]
    if given:
        raise UserError(message.format(" or ".join(given)))


def _user_options(
    options: RegistrationOptions,
    files: PairFiles,
    settings: Mapping[str, Any],
    own: OwnModel | None,
) -> UserOptions:
    """Return what the user decided, and the models that can run on this computer."""
    model = options.model if own is None else own.model
    several_moving = len(files.moving) > 1
    without_weights = models_without_weights(several_moving=several_moving)
    found = weights_here()
    widths, available, variants = models_here(found), models_to_choose(found), variants_here(found)
    if several_moving or model in without_weights:
        widths, available = dict.fromkeys(without_weights, 0), without_weights
    wishes = UserOptions(
        anatomy=options.anatomy,
        modality=options.modality_by_slot(),
        pairing=options.pairing,
        model=None if model == "auto" else model,
        memory_mib=parse_memory(options.memory) if options.memory else None,
        effort=options.effort or NORMAL,
        accept_guess=options.accept_guess,
        settings=settings,
        available=available,
        widths=widths,
        variants=variants,
        force=options.force,
    )
    if own is not None:
        wishes = for_own_model(wishes, own)
    if options.weights and model not in ("auto", *without_weights):
        weights = find_weights(model, str(options.weights))
        wishes = replace(
            wishes,
            widths={**wishes.widths, model: weights.width or 0},
            variants={**wishes.variants, model: weights.variant},
        )
    return wishes
