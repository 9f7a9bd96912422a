"""A plan: an overlay for a bundle's configs, with the reason for every value.

Plans are files that may come from anywhere, so `zoo.planning.plan_checks` validates every key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo import __version__
from zoo.errors import UserError
from zoo.hub.catalogue import find_model
from zoo.hub.setting_rules import check_settings, inert
from zoo.hub.specs import NORMAL
from zoo.io.files import AnyPath
from zoo.io.json_documents import read_json_object
from zoo.planning.cautions import cautions
from zoo.planning.effort import describe_effort
from zoo.planning.evidence import Choice, Evidence, UserOptions, gather_evidence
from zoo.planning.migrations import SCHEMA, migrate, pairs_component
from zoo.planning.migrations import Plan as Plan
from zoo.planning.plan_checks import OF_DATASET, checked_plan, is_plan, plan_facts
from zoo.planning.rules import (
    choose_model,
    choose_settings,
    missing_facts_message,
    pair_of_two_contrasts,
    preset_of,
    unsuitable_weights,
)

_EVALUATED = ("$", "@", "%")


def make_plan(fingerprint: Mapping[str, Any], options: UserOptions | None = None) -> Plan:
    """Plan for a dataset or, from a fingerprint without a dataset, for one pair.

    The keys beside `plan` are settings of the bundles: MONAI merges them into any of their configs.
    The section `plan` holds the reasons. Nothing refers to it, so MONAI ignores it.
    """
    options = options or UserOptions()
    evidence = gather_evidence(fingerprint, options)
    if message := missing_facts_message(evidence, options):
        raise UserError(message)
    preset = preset_of(evidence)
    model = choose_model(evidence, preset, options)
    spec = find_model(model.value)
    unsuitable = unsuitable_weights(evidence, spec, options)
    if unsuitable and not options.force:
        raise UserError(f"{unsuitable}, or add --force to use {model.value} nevertheless")
    chosen = choose_settings(evidence, spec, options)
    section = {
        "schema": SCHEMA,
        "regzoo": __version__,
        "name": "default",
        "model": model.value,
        "preset": preset.key,
        "effort": options.effort,
        "content": fingerprint.get("content"),
        "beliefs": _beliefs(evidence),
        "choices": {name: c.to_json() for name, c in ({"model": model} | chosen).items()},
        "cautions": [
            *([unsuitable] if unsuitable else []),
            *cautions(evidence, preset, spec),
        ],
        "two_contrasts": pair_of_two_contrasts(evidence),
    }
    if unsuitable:
        section["forced"] = True
    overlay: Plan = {name: choice.value for name, choice in chosen.items()}
    if fingerprint.get("dataset"):
        overlay |= _dataset_settings(fingerprint, evidence)
    overlay["facts"] = plan_facts(section)
    return inert_plan(overlay | {"plan": section})


def override(plan: Plan, name: str, changes: Mapping[str, Any]) -> Plan:
    """Return a plan with another name that inherits from `plan` and differs in `changes`.

    Only settings of the plan's model can be changed, to values that its specification allows.
    """
    section = plan["plan"]
    for key in changes:
        if key in ("dataset_dir", "pairs"):
            raise UserError(f"--set {key}: a plan belongs to its dataset; plan the other dataset")
    if name == section["name"]:
        raise UserError(f"--name {name!r} is the name of the plan that is changed; choose another")
    section = section | {"name": name, "inherits": section["name"]}
    facts = {"plan": plan["facts"]["plan"] | {"name": name}}
    return with_user_settings(plan | {"facts": facts, "plan": section}, changes)


def with_user_settings(plan: Plan, settings: Mapping[str, Any], where: str = "--set") -> Plan:
    """Return a plan with settings of a user, which its choices record as such.

    Only settings of the plan's model are allowed, with values that its specification allows.
    `where` is how a message names the place in which the user stated them.
    """
    section = plan["plan"]
    rules = find_model(section["model"]).setting_rules()
    values = check_settings(settings, rules, section["model"], where)
    chosen = {}
    for key, value in values.items():
        over = f" over {plan[key]!r}" if key in plan else ""
        chosen[key] = Choice(value, "user", f"set by the user{over}").to_json()
    section = section | {"choices": section["choices"] | chosen}
    return inert_plan(plan | {"plan": section}) | values


def read_plan(path: AnyPath) -> Plan:
    """Read a plan of this version or of an earlier one, with every key validated."""
    plan = migrate(read_json_object(path))
    if not is_plan(plan):
        raise UserError(
            f"{path} is not a plan that this version can read; make it again with regzoo plan"
        )
    return checked_plan(plan, str(path))


def for_a_pair(plan: Plan) -> Plan:
    """Return a plan without the dataset that it was made for."""
    return {key: value for key, value in plan.items() if key not in OF_DATASET}


def explain(plan: Plan) -> str:
    """Return every value of a plan with its reason, one per line."""
    section = plan["plan"]
    lines = [f"plan {section['name']}: {section['model']}, preset {section['preset']}"]
    if "inherits" in section:
        lines[0] += f", inherits from {section['inherits']}"
    if "effort" in section:
        lines.append(f"  effort: {describe_effort(section['model'], section['effort'])}")
    for name, belief in section["beliefs"].items():
        value = belief["value"] or "unknown"
        lines.append(f"  {name}: {value} ({belief['confidence']}; {belief['evidence']})")
    if isinstance(weights := section.get("weights"), dict):
        lines.append(f"  weights: {weights.get('variant')}, sha256 {weights.get('sha256')}")
    width = max(len(name) for name in section["choices"])
    for name, choice in section["choices"].items():
        value = choice["value"] if isinstance(choice["value"], str) else json.dumps(choice["value"])
        lines.append(f"  {name:<{width}} = {value}  [{choice['rule']}] {choice['because']}")
    lines += [f"  caution: {text}" for text in section["cautions"]]
    return "\n".join(lines)


def difference(one: Plan, two: Plan) -> str:
    """Return the differences between two plans, one per line."""
    names = [one["plan"]["name"], two["plan"]["name"]]
    lines = []
    keys = [k for k in dict.fromkeys([*one, *two]) if k not in ("plan", "facts", *OF_DATASET)]
    rows = [("model", one["plan"]["model"], two["plan"]["model"])]
    rows += [("effort", *(plan["plan"].get("effort", NORMAL) for plan in (one, two)))]
    rows += [(key, one.get(key), two.get(key)) for key in keys]
    for key, a, b in rows:
        if a != b:
            reason = two["plan"]["choices"].get(key, {}).get("because", "")
            lines.append(f"{key}: {json.dumps(a)} -> {json.dumps(b)}  {reason}".rstrip())
    return "\n".join(lines) or f"{names[0]} and {names[1]} choose the same settings"


def _dataset_settings(fingerprint: Mapping[str, Any], evidence: Evidence) -> Plan:
    """Return the settings that name the pairs of a dataset."""
    splits = evidence.fingerprint["pairs"]["splits"]
    split = next((s for s in ("val", "test", "train") if splits.get(s)), "val")
    folder = str(fingerprint["dataset"])
    return {
        "dataset_dir": str(Path(folder).absolute()) if folder.startswith(_EVALUATED) else folder,
        "split": split,
        "pairs": pairs_component(inert(str(fingerprint["content"]))),
    }


def _beliefs(evidence: Evidence) -> dict[str, Any]:
    return {
        "anatomy": evidence.anatomy,
        "pairing": evidence.pairing,
        f"modality.{evidence.slots[0]} (fixed)": evidence.fixed,
        f"modality.{evidence.slots[1]} (moving)": evidence.moving,
    }


def inert_plan(plan: Plan) -> Plan:
    """Return a plan whose texts MONAI does not evaluate, except for the names of its dataset."""
    return {k: v if k in ("pairs", "dataset_dir") else inert(v) for k, v in plan.items()}
