"""The weights of a plan: those of a model of one's own, their record, and the pairs they are for.

A plan records the sha256 of the weights that it was made for, so that a run can say whether it used
them. It also records what shows that its pairs are of two contrasts, so that weights for pairs of
one contrast are refused wherever the plan is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from zoo.errors import UserError
from zoo.hub.catalogue import find_model, load_catalogue
from zoo.hub.own_models import OwnModel
from zoo.hub.specs import NORMAL
from zoo.hub.weights import find_weights
from zoo.planning.cautions import for_own_training
from zoo.planning.evidence import Choice, UserOptions, gather_evidence
from zoo.planning.migrations import Plan
from zoo.planning.plan import inert_plan
from zoo.planning.rules import pair_of_two_contrasts

FROM_IMAGES = ("affine", "crop", "fixed_modality", "moving_modality")
"""Settings that a plan chooses from the images, also for a model of one's own."""


def planned_settings(own: OwnModel, effort: str = NORMAL) -> dict[str, Any]:
    """Return the settings of a model of one's own that a plan with an effort takes over.

    The settings that the effort names are those of the effort.
    """
    rules = find_model(own.model).planning.effort.get(effort)
    left_out = {*FROM_IMAGES, *(rules.settings if rules else ())}
    return {key: value for key, value in own.settings.items() if key not in left_out}


def for_own_model(options: UserOptions, own: OwnModel) -> UserOptions:
    """Return a user's options with which a plan for a model of one's own is made.

    The user's settings take precedence over those of the own model.
    """
    widths, variants = dict(options.widths), dict(options.variants)
    if "weights" in own.settings:
        file = find_weights(own.model, own.settings["weights"])
        widths[own.model], variants[own.model] = file.width or 0, file.variant
    settings = planned_settings(own, options.effort) | dict(options.settings)
    return replace(options, model=own.model, settings=settings, widths=widths, variants=variants)


def with_own_model(plan: Plan, own: OwnModel) -> Plan:
    """Return a plan with the settings and the weights of a model of one's own.

    The plan must be one for the model of the zoo that the own model uses.
    """
    section = plan["plan"]
    if own.model != section["model"]:
        raise UserError(
            f"the plan is for {section['model']}, and {own.name} is a {own.model}; plan the "
            f"dataset again with --model {own.folder}"
        )
    settings = planned_settings(own, section.get("effort", NORMAL))
    reason = f"a setting of {own.name}"
    chosen = {key: Choice(value, "model.own", reason) for key, value in settings.items()}
    why = f"requested with --model {own.name}, a {own.model} in {own.folder}"
    chosen["model"] = Choice(own.model, "model.own", why)
    changed = {
        "choices": section["choices"] | {key: choice.to_json() for key, choice in chosen.items()}
    }
    if own.trained_on is not None:
        changed["cautions"] = for_own_training(
            section["cautions"], own.model, section["preset"], own.name, own.trained_on
        )
    facts = {"plan": plan["facts"]["plan"] | {"why": why}}
    return inert_plan(plan | {"facts": facts, "plan": section | changed}) | settings


def record_weights(plan: Plan) -> Plan:
    """Return a plan that states the variant and the sha256 of the weights that it selects here.

    A plan for a model without weights, or whose weights are not on this computer, states none.
    """
    section = {key: value for key, value in plan["plan"].items() if key != "weights"}
    if find_model(section["model"]).learned:
        try:
            file = find_weights(section["model"], plan.get("weights"))
            section["weights"] = {"variant": file.variant, "sha256": file.sha256}
        except UserError:
            pass
    return plan | {"plan": section}


def planned_sha256(plan: Plan) -> str | None:
    """Return the sha256 of the weights that a plan was made for; None if it states none."""
    recorded = plan["plan"].get("weights")
    sha256 = recorded.get("sha256") if isinstance(recorded, dict) else None
    return sha256 if isinstance(sha256, str) and re.fullmatch("[0-9a-f]{64}", sha256) else None


def weights_used(plan: Plan, sha256: Iterable[str | None]) -> dict[str, Any] | None:
    """Return whether the finished pairs, whose weights have these sha256, used the plan's weights.

    `as_planned` is None if no pair is finished or if the plan was made without weights on its
    computer. The result is None for a model without weights.
    """
    used = sorted({digest for digest in sha256 if digest is not None})
    planned = planned_sha256(plan)
    if not used and planned is None:
        return None
    known = used and planned is not None
    return {
        "planned": planned,
        "used": used,
        "as_planned": used == [planned] if known else None,
    }


def weights_text(weights: Mapping[str, Any] | None) -> str:
    """Return in words whether the weights of a run are those of its plan; empty without weights."""
    if weights is None or not weights["used"]:
        return ""
    used = " and ".join(digest[:12] for digest in weights["used"])
    if weights["as_planned"] is None:
        return f"weights: sha256 {used}; the plan states none"
    if weights["as_planned"]:
        return f"weights: those of the plan (sha256 {used})"
    return f"weights: NOT those of the plan (sha256 {used}, planned {weights['planned'][:12]})"


def declared_modalities(plan: Plan) -> dict[str, str]:
    """Return the modalities that were declared for a plan, by the slots of a single pair."""
    declared = {}
    for name, belief in plan["plan"]["beliefs"].items():
        for slot, side in (("0", "(fixed)"), ("1", "(moving)")):
            if name.endswith(side) and isinstance(belief, dict) and belief.get("declared"):
                declared[slot] = str(belief["declared"])
    return declared


def two_contrasts_of_pair(fingerprint: Mapping[str, Any], plan: Plan) -> str | None:
    """Return what shows that a pair, which a plan is used for, is of two contrasts; else None.

    What was declared for the plan counts unless the values of the pair contradict it.
    """
    evidence = gather_evidence(fingerprint, UserOptions(modality=declared_modalities(plan)))
    if evidence.fixed.get("conflict") or evidence.moving.get("conflict"):
        evidence = gather_evidence(fingerprint, UserOptions())
    return pair_of_two_contrasts(evidence)


def for_one_contrast(model: str, wanted: str | None) -> str | None:
    """Return the variant that `wanted` selects here if its weights are for pairs of one contrast.

    None stands for weights for any pair, for a model without weights and for absent weights.
    """
    spec = find_model(model)
    try:
        name = find_weights(model, wanted).variant if spec.learned else ""
    except UserError:
        return None
    variant = spec.variants.get(name)
    return None if variant is None or variant.contrasts == "any" else name


def refuse_unsuitable_weights(
    section: Mapping[str, Any], wanted: str | None, measured: str | None = None
) -> None:
    """Raise `UserError` if pairs of two contrasts would be registered with weights for one.

    Args:
        section: The section `plan` of a plan. Nothing is refused if it was made with --force.
        wanted: The setting `weights`.
        measured: What shows that the pair itself is of two contrasts, if it was measured.
    """
    reason = measured or section.get("two_contrasts")
    model = section.get("model")
    if not reason or section.get("forced") is True or model not in load_catalogue():
        return
    variant = for_one_contrast(str(model), wanted)
    if variant is not None:
        raise UserError(
            f"the {variant} weights of {model} are for pairs of one contrast and make pairs of two "
            f"worse ({reason}); plan again with another --model, or with --force to use {model} "
            "nevertheless"
        )
