"""The effort of a plan: the settings with which a model registers fast, as usual, or at its best.

The specification of each model holds the settings of its efforts, with the reason. The effort
"normal" has none: the other rules decide. An effort does not depend on the images, so that it can
also be changed in a plan that exists already.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.errors import UserError, nearest
from zoo.hub.catalogue import find_model
from zoo.hub.setting_rules import inert
from zoo.hub.specs import EFFORTS, NORMAL, ModelSpec
from zoo.planning.evidence import Choice
from zoo.planning.migrations import Plan
from zoo.planning.plan_checks import plan_facts

_RULE = "effort."


def parse_effort(word: str) -> str:
    """Return the effort that a user names; `UserError` if the word is unknown."""
    if word not in EFFORTS:
        raise UserError(
            f"--effort {str(word)[:80]!r} is not known{nearest(word, EFFORTS)}; use one of "
            f"{', '.join(EFFORTS)}"
        )
    return word


def effort_choices(spec: ModelSpec, effort: str, settings: Mapping[str, Any]) -> dict[str, Choice]:
    """Return the choices of an effort; the user's own `settings` take precedence over them."""
    rules = spec.planning.effort.get(effort)
    if rules is None:
        return {}
    return {
        name: Choice(value, f"{_RULE}{effort}", rules.because)
        for name, value in rules.settings.items()
        if name not in settings
    }


def describe_effort(model: str, effort: str) -> str:
    """Return an effort with its reason."""
    rules = find_model(model).planning.effort.get(effort)
    if effort == NORMAL:
        return f"{NORMAL} (the settings that the rules choose)"
    if rules is None:
        return f"{effort} ({model} has no settings for it and registers as with {NORMAL})"
    return f"{effort} ({rules.because})"


def with_effort(plan: Plan, effort: str) -> Plan:
    """Return a plan with another effort. Settings of the user and of the memory budget stay."""
    parse_effort(effort)
    section = plan["plan"]
    spec = find_model(section["model"])
    former = [k for k, choice in section["choices"].items() if _is_of_effort(choice)]
    kept = {k: choice for k, choice in section["choices"].items() if k not in former}
    settings = {k: value for k, value in plan.items() if k not in former}
    defaults = spec.planning.defaults
    reason = f"the default of {spec.name}"
    chosen = {k: Choice(defaults[k], "default", reason) for k in former if k in defaults}
    protected = [k for k, choice in kept.items() if choice.get("rule") != "default"]
    chosen |= effort_choices(spec, effort, dict.fromkeys(protected))
    values = {name: inert(choice.value) for name, choice in chosen.items()}
    section = section | {
        "effort": effort,
        "choices": kept | {name: inert(choice.to_json()) for name, choice in chosen.items()},
    }
    changed = settings | values | {"plan": section}
    return changed | ({"facts": plan_facts(section)} if "facts" in plan else {})


def _is_of_effort(choice: Any) -> bool:
    return isinstance(choice, Mapping) and str(choice.get("rule")).startswith(_RULE)
