"""Validation of a plan that was read from a file, key by key.

Nothing of a plan is passed to MONAI as it was read: `plan_settings` builds the settings anew from
validated values.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.errors import UserError, nearest
from zoo.hub.catalogue import find_model
from zoo.hub.setting_rules import (
    SettingRule,
    check_settings,
    for_monai,
    plain_value,
    shown_key,
)
from zoo.hub.specs import EFFORTS, NORMAL
from zoo.planning.migrations import SCHEMA, Plan, pairs_component

OF_DATASET = ("dataset_dir", "split", "pairs")
"""The keys of a plan that name the pairs of its dataset."""

_SECTION = {
    "name": str, "model": str, "preset": str, "beliefs": dict, "choices": dict, "cautions": list,
}  # fmt: skip
_OPTIONAL = (
    *("schema", "regzoo", "content", "inherits"),
    *("weights", "two_contrasts", "forced", "effort"),
)
_DATASET_RULES = {"dataset_dir": SettingRule("file"), "split": SettingRule("text")}


def is_plan(plan: Plan) -> bool:
    """Return whether a document has the section `plan`, with the keys that its readers need."""
    section = plan.get("plan")
    return (
        isinstance(section, dict)
        and section.get("schema") == SCHEMA
        and all(isinstance(section.get(name), kind) for name, kind in _SECTION.items())
    )


def plan_facts(section: Mapping[str, Any]) -> Plan:
    """Return the setting `facts` of a plan, which result.json records."""
    because = section["choices"]["model"]["because"]
    facts = {"name": section["name"], "preset": section["preset"], "why": because}
    return {"plan": facts | ({"effort": section["effort"]} if "effort" in section else {})}


def checked_plan(plan: Plan, path: str) -> Plan:
    """Return a plan in which every key and value is one that regzoo could have written."""
    section = plan["plan"]
    for key in section:
        if key not in _SECTION and key not in _OPTIONAL:
            known = {**_SECTION, **dict.fromkeys(_OPTIONAL)}
            raise UserError(f"{path}: plan: there is no key {key[:80]!r}{nearest(key, known)}")
    try:
        plain_value(section)
    except ValueError as error:
        raise UserError(f"{path}: plan: {error}") from None
    spec = find_model(section["model"])
    if (effort := section.get("effort", NORMAL)) not in EFFORTS:
        raise UserError(
            f"{path}: plan: effort: {effort!r} is not known{nearest(effort, EFFORTS)}; use one of "
            f"{', '.join(EFFORTS)}"
        )
    _check_facts(plan, path)
    _check_dataset(plan, path)
    rules = {**spec.setting_rules(), "facts": None, "plan": None, **dict.fromkeys(OF_DATASET)}
    for key in plan:
        if key not in rules:
            raise UserError(
                f"{path}: {shown_key(key)}: {spec.name} has no such setting{nearest(key, rules)}"
            )
    own = {key: value for key, value in plan.items() if key in spec.setting_rules()}
    return plan | check_settings(own, spec.setting_rules(), spec.name, f"{path}:")


def plan_settings(plan: Plan) -> Plan:
    """Return the settings of a checked plan for MONAI's parser, built anew from its values."""
    section = plan["plan"]
    rules = find_model(section["model"]).setting_rules()
    settings = {key: for_monai(value) for key, value in plan.items() if key in rules}
    if "facts" in plan:
        settings["facts"] = for_monai(plan_facts(section))
    if "dataset_dir" in plan:
        settings["dataset_dir"] = for_monai(str(Path(plan["dataset_dir"]).absolute()))
        settings["split"] = for_monai(plan["split"])
        settings["pairs"] = pairs_component(for_monai(str(section["content"])))
    return settings


def _check_facts(plan: Plan, path: str) -> None:
    """Refuse a plan whose facts are not those of its section `plan`."""
    try:
        expected = plan_facts(plan["plan"])
    except (KeyError, TypeError):
        raise UserError(
            f"{path} is not a plan that this version can read: the reason of its model is missing; "
            "make it again with regzoo plan"
        ) from None
    if plan.get("facts", expected) != expected:
        raise UserError(
            f"{path}: facts: they differ from the section plan; make it again with regzoo plan"
        )


def _check_dataset(plan: Plan, path: str) -> None:
    """Refuse keys that name a dataset in another way than regzoo does."""
    given = [key for key in OF_DATASET if key in plan]
    if not given:
        return
    missing = [key for key in OF_DATASET if key not in plan]
    if missing:
        raise UserError(f"{path}: {missing[0]} is missing; make the plan again with regzoo plan")
    values = {key: plan[key] for key in _DATASET_RULES}
    check_settings(values, _DATASET_RULES, "a plan", f"{path}:")
    if plan["pairs"] != pairs_component(str(plan["plan"].get("content"))):
        raise UserError(
            f"{path}: pairs: the component differs from the one that regzoo writes; make the plan "
            "again with regzoo plan"
        )
