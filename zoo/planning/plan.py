"""A plan: an overlay for a bundle's configs, with the reason of every value."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from zoo import __version__
from zoo.errors import UserError
from zoo.io.files import AnyPath
from zoo.io.json_documents import read_json_object
from zoo.planning.evidence import Choice, Facts, UserOptions, gather
from zoo.planning.rules import cautions, choose_model, missing_facts_question, preset_of, settings

Plan = dict[str, Any]
SCHEMA = 1
_TOLD = {
    "name": str, "model": str, "preset": str, "beliefs": dict, "choices": dict, "cautions": list,
}  # fmt: skip
_OF_DATASET = ("dataset_dir", "split", "pairs")


def make_plan(fingerprint: Mapping[str, Any], wishes: UserOptions | None = None) -> Plan:
    """Plan for a dataset or, from a fingerprint without a dataset, for one pair.

    The keys beside `plan` are settings of the bundles: MONAI merges them into any of their configs.
    The section `plan` says why; nothing refers to it, so that MONAI leaves it alone.
    """
    wishes = wishes or UserOptions()
    facts = gather(fingerprint, wishes)
    if question := missing_facts_question(facts, wishes):
        raise UserError(question)
    preset = preset_of(facts)
    model = choose_model(facts, preset, wishes)
    chosen = settings(facts, preset, model.value, wishes)
    told = {
        "schema": SCHEMA,
        "regzoo": __version__,
        "name": "default",
        "model": model.value,
        "preset": preset.key,
        "content": fingerprint.get("content"),
        "beliefs": _beliefs(facts),
        "choices": {name: c.to_json() for name, c in ({"model": model} | chosen).items()},
        "cautions": list(cautions(facts, preset, model.value)),
    }
    overlay: Plan = {name: choice.value for name, choice in chosen.items()}
    if fingerprint.get("dataset"):
        overlay |= _pairs_of(str(fingerprint["dataset"]), str(fingerprint["content"]), facts)
    overlay["facts"] = {"plan": {k: told[k] for k in ("name", "preset")} | {"why": model.because}}
    return _inert(overlay | {"plan": told})


def override(plan: Plan, name: str, changes: Mapping[str, Any], known: Sequence[str]) -> Plan:
    """Return a plan of another name that inherits from `plan` and differs in `changes`."""
    for key in changes:
        if key in ("dataset_dir", "pairs"):
            raise UserError(f"--set {key}: a plan is of its dataset; plan the other one")
        if key not in known or key in ("plan", "facts"):
            close = get_close_matches(key, known, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise UserError(f"--set {key}: {plan['plan']['model']} has no such setting{hint}")
    if name == plan["plan"]["name"]:
        raise UserError(f"--name {name!r} is that of the plan it changes; choose another")
    told = plan["plan"]
    choices = told["choices"] | {
        key: Choice(value, "user", f"set by the user over {plan.get(key)!r}").to_json()
        for key, value in changes.items()
    }
    told = told | {"name": name, "inherits": told["name"], "choices": choices}
    facts = {"plan": plan["facts"]["plan"] | {"name": name}}
    made = _inert(plan | dict(changes) | {"facts": facts, "plan": told})
    if not _plain(dict(changes)):
        raise UserError(f"--set {', '.join(changes)}: a name in it begins with _, + or ~; none may")
    return made


def read_plan(path: AnyPath) -> Plan:
    """Read a plan that was written before."""
    plan = read_json_object(path)
    told = plan.get("plan")
    if not isinstance(told, dict) or told.get("schema") != SCHEMA or not _whole(told):
        raise UserError(f"{path} is no plan of this version; make it with regzoo plan")
    settings = for_a_pair(plan)
    pairs = plan.get("pairs")
    own = pairs is None or pairs == _pairs(str(told.get("content")))
    if not own or _inert(settings) != settings or not _plain(settings):
        raise UserError(
            f"{path} holds expressions ($, @, %) or components (_target_), which a plan never "
            "does; make it with regzoo plan"
        )
    return plan


def for_a_pair(plan: Plan) -> Plan:
    """Return a plan without the dataset that it was made for."""
    return {key: value for key, value in plan.items() if key not in _OF_DATASET}


def explain(plan: Plan) -> str:
    """Return every value of a plan with its reason, a line each."""
    told = plan["plan"]
    lines = [f"plan {told['name']}: {told['model']}, preset {told['preset']}"]
    if "inherits" in told:
        lines[0] += f", inherits from {told['inherits']}"
    for name, belief in told["beliefs"].items():
        value = belief["value"] or "unknown"
        lines.append(f"  {name}: {value} ({belief['confidence']}; {belief['evidence']})")
    width = max(len(name) for name in told["choices"])
    for name, choice in told["choices"].items():
        value = choice["value"] if isinstance(choice["value"], str) else json.dumps(choice["value"])
        lines.append(f"  {name:<{width}} = {value}  [{choice['rule']}] {choice['because']}")
    lines += [f"  caution: {text}" for text in told["cautions"]]
    return "\n".join(lines)


def difference(one: Plan, two: Plan) -> str:
    """Return what two plans differ in, a line each."""
    names = [one["plan"]["name"], two["plan"]["name"]]
    lines = []
    keys = [k for k in dict.fromkeys([*one, *two]) if k not in ("plan", "facts", *_OF_DATASET)]
    rows = [("model", one["plan"]["model"], two["plan"]["model"])]
    rows += [(key, one.get(key), two.get(key)) for key in keys]
    for key, a, b in rows:
        if a != b:
            why = two["plan"]["choices"].get(key, {}).get("because", "")
            lines.append(f"{key}: {json.dumps(a)} -> {json.dumps(b)}  {why}".rstrip())
    return "\n".join(lines) or f"{names[0]} and {names[1]} choose the same"


def _pairs_of(folder: str, content: str, facts: Facts) -> Plan:
    """Return the settings that name a dataset's pairs; its digest stops a run on changed data."""
    splits = facts.fingerprint["pairs"]["splits"]
    split = next((s for s in ("val", "test", "train") if splits.get(s)), "val")
    return {
        "dataset_dir": folder,
        "split": split,
        "pairs": _pairs(content),
    }


def _pairs(content: str) -> Plan:
    return {
        "_target_": "zoo.datasets.DatasetPairs",
        "folder": "@dataset_dir",
        "split": "@split",
        "content": content,
    }


def _beliefs(facts: Facts) -> dict[str, Any]:
    return {
        "anatomy": facts.anatomy,
        "pairing": facts.pairing,
        f"modality.{facts.slots[0]} (fixed)": facts.fixed,
        f"modality.{facts.slots[1]} (moving)": facts.moving,
    }


def _whole(told: Mapping[str, Any]) -> bool:
    """Say whether what a plan tells of itself has what its readers need."""
    return all(isinstance(told.get(name), kind) for name, kind in _TOLD.items())


def _plain(value: Any) -> bool:
    """Say whether no key of a part of a plan is one that MONAI reads as an order or as a path."""
    if isinstance(value, dict):
        keys = all(not re.match(r"[_+~]", key) and not re.search("::|#", key) for key in value)
        return keys and all(map(_plain, value.values()))
    return not isinstance(value, list) or all(map(_plain, value))


def _inert(value: Any) -> Any:
    """Keep texts from a dataset from being read as expressions: MONAI evaluates what begins so."""
    if isinstance(value, dict):
        return {k: v if k == "pairs" else _inert(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_inert(v) for v in value]
    return re.sub(r"^[\s$@%]+", "", value) if isinstance(value, str) else value
