"""Settings of MCBO that were fitted to a dataset: a preset in a file, which a plan can name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from zoo.errors import UserError
from zoo.io.atomic import write_json
from zoo.io.json_documents import read_json_object
from zoo.solvers.settings import PRESETS, Mode, Settings, changed

KIND = "regzoo mcbo preset"


def write_preset(path: Path, mode: Mode, changes: dict[str, Any], **facts: Any) -> None:
    """Write a preset: what is changed of a mode's settings, and how it came about."""
    write_json(path, {"kind": KIND, "mode": mode, "changes": changes, **facts})


def read_preset(path: str | Path | None) -> dict[str, Any]:
    """Return `mode` and `changes` of a preset file; nothing for None."""
    if path is None:
        return {}
    found = read_json_object(path)
    if found.get("kind") != KIND:
        raise UserError(f"{path} is no preset of mcbo; regzoo finetune writes one")
    mode: Any = found.get("mode")
    changes = found.get("changes")
    if mode not in get_args(Mode) or not isinstance(changes, dict):
        raise UserError(f"{path} names a mode or a setting that this version does not know")
    try:
        settings_of(mode, changes)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return {"mode": mode, "changes": changes}


def settings_of(mode: Mode, changes: dict[str, Any]) -> Settings:
    """Return the settings of a mode with some changed; lists become tuples."""
    return changed(PRESETS[mode], changes)
