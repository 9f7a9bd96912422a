"""A component of bundle configs that refuses settings which the bundle does not have.

`monai.bundle run` adds an override with a misspelt name to the config and ignores it. The component
looks up the config among its callers, because MONAI does not pass it to components.
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

if TYPE_CHECKING:
    from monai.bundle import ConfigWorkflow

PLAN_KEYS = ("plan", "split")
"""The keys of a plan that are not settings of every config."""

_REFERENCE = re.compile(r"[@%](\w+)")


class SettingsCheck:
    """Refuses a config with a setting that the bundle does not have.

    A bundle lists it under `initialize`, which MONAI runs before anything else. Allowed are the
    top-level keys of the JSON configs in the bundle, and whatever the config refers to. Components
    and expressions are allowed too, so that an overlay may add parts of its own.
    """

    def __init__(self) -> None:
        workflow = _workflow()
        if workflow is not None and (workflow.config_root_path / "inference.json").is_file():
            names = {*bundle_settings(workflow.config_root_path), *PLAN_KEYS}
            require_known(workflow.parser.get(), names)


def bundle_settings(configs: Path) -> Iterator[str]:
    """Yield the top-level keys of the JSON configs in a bundle's folder `configs`."""
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
