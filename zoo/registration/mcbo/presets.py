"""Preset files: settings of MCBO that were fitted to a dataset. A plan can name such a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from zoo.errors import UserError, nearest
from zoo.hub.catalogue import find_model
from zoo.hub.setting_rules import plain_value, shown_key
from zoo.io.atomic import write_json
from zoo.io.json_documents import read_json_object
from zoo.solvers.settings import PRESETS, Mode, Settings, with_changes

KIND = "regzoo mcbo preset"
_KEYS = ("kind", "mode", "changes")
_FACTS = (
    *("start", "data", "recipe", "steps", "best_step"),
    *("figure", "figures_before", "figures_after"),
)
"""The facts about a search that a preset records and that nothing reads."""


def write_preset(path: Path, mode: Mode, changes: dict[str, Any], **facts: Any) -> None:
    """Write a preset: the changes to the settings of a mode, and facts about how it was found."""
    write_json(path, {"kind": KIND, "mode": mode, "changes": changes, **facts})


def read_preset(path: str | Path | None) -> dict[str, Any]:
    """Return `mode` and `changes` of a preset file; an empty dictionary for None."""
    if path is None:
        return {}
    document = read_json_object(path)
    if document.get("kind") != KIND:
        raise UserError(f"{path} is not a preset of mcbo; regzoo finetune writes such files")
    for key in document:
        if key not in (*_KEYS, *_FACTS):
            raise UserError(
                f"{path}: {shown_key(key)}: a preset has no such key"
                f"{nearest(key, (*_KEYS, *_FACTS))}; correct its name or remove it"
            )
    mode: Any = document.get("mode")
    changes = document.get("changes")
    if mode not in get_args(Mode) or not isinstance(changes, dict):
        raise UserError(
            f"{path} has no mode and changes that this version knows; "
            f"the modes are {', '.join(get_args(Mode))}"
        )
    try:
        plain_value({key: document[key] for key in _FACTS if key in document})
        changes = find_model("mcbo").settings["solver_settings"].checked(changes)
        settings_of(mode, changes)
    except (UserError, ValueError) as error:
        raise UserError(f"{path}: {error}") from error
    return {"mode": mode, "changes": changes}


def solver_mode(mode: Mode, preset: str | Path | None = None) -> Mode:
    """Return the mode of a preset file; without a preset, `mode`."""
    chosen: Mode = read_preset(preset).get("mode", mode)
    return chosen


def solver_changes(changes: Mapping[str, Any], preset: str | Path | None = None) -> dict[str, Any]:
    """Return the changes of a preset file, overridden by `changes`."""
    return {**read_preset(preset).get("changes", {}), **changes}


def settings_of(mode: Mode, changes: dict[str, Any]) -> Settings:
    """Return the settings of a mode with some changed; lists become tuples."""
    return with_changes(PRESETS[mode], changes)
