"""A component of bundle configs that refuses what `monai.bundle run` would accept silently.

`monai.bundle run` adds an override with a misspelt name to the config and ignores it, and it knows
nothing of the pairs that weights are for. The component looks up the config among its callers,
because MONAI does not pass it to components.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import UserError
from zoo.io.json_documents import read_json_object
from zoo.io.yaml_documents import parse_yaml
from zoo.planning.weights import refuse_unsuitable_weights

if TYPE_CHECKING:
    from monai.bundle import ConfigWorkflow

PLAN_KEYS = ("plan", "split")
"""The keys of a plan that are not settings of every config."""

_REFERENCE = re.compile(r"[@%](\w+)")


class SettingsCheck:
    """Refuses a config with a setting that the bundle does not have.

    A bundle lists it under `initialize`, which MONAI runs before anything else. Allowed are the
    top-level keys of the bundle's JSON configs or, with `training`, of its YAML configs, and
    whatever the config refers to. Components and expressions are allowed too, so that an overlay
    may add parts of its own. A plan may add the settings of the inference to a training.

    Without `training` it also refuses a plan for pairs of two contrasts together with weights that
    are for pairs of one.
    """

    def __init__(self, training: bool = False) -> None:
        workflow = _workflow()
        if workflow is None or not (workflow.config_root_path / "inference.json").is_file():
            return
        config = workflow.parser.get()
        folder = workflow.config_root_path
        names = {*bundle_settings(folder, training=training), *PLAN_KEYS}
        plan = config.get("plan")
        if plan or config.get("facts"):  # a plan, as a whole or (from regzoo) its settings
            names |= set(bundle_settings(folder, training=False))
        require_known(config, names)
        if isinstance(plan, Mapping) and not training:
            refuse_unsuitable_weights(plan, config.get("weights"))


def bundle_settings(configs: Path, *, training: bool) -> Iterator[str]:
    """Yield the top-level keys of the JSON or, for a training, the YAML configs of a bundle."""
    if training:
        for path in configs.glob("*.yaml"):
            keys = parse_yaml(path.read_text(encoding="utf-8"))
            yield from (key.removeprefix("+") for key in keys)  # "+initialize" extends a list
        return
    for path in configs.glob("*.json"):
        if path.name != "metadata.json":
            yield from read_json_object(path)


def require_known(config: Mapping[str, Any], names: set[str]) -> None:
    """Raise `UserError` for the first unknown setting of a config, with the nearest known name."""
    referenced = {name for text in _texts(config) for name in _REFERENCE.findall(text)}
    for name, value in config.items():
        if name in names | referenced or name.startswith("_") or _is_computed(value):
            continue
        close = get_close_matches(name, names, n=1)
        settings = sorted(key for key in names & config.keys() if not _is_computed(config[key]))
        hint = f"did you mean {close[0]}?" if close else f"the settings are {', '.join(settings)}"
        raise UserError(f"this bundle has no setting {name!r}; {hint}")


def _workflow() -> ConfigWorkflow | None:
    """Return the workflow that is being initialised, or None outside of a workflow."""
    from monai.bundle import ConfigWorkflow

    frame = sys._getframe().f_back
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, ConfigWorkflow):
            return caller
        frame = frame.f_back
    return None


def _texts(value: Any) -> Iterator[str]:
    """Yield every string in a config."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list)):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(part)


def _is_computed(value: Any) -> bool:
    """Return whether a value is or contains a component, a reference or an expression."""
    if isinstance(value, Mapping) and "_target_" in value:
        return True
    return any(text.startswith(("$", "@", "%")) for text in _texts(value))
