"""Settings of a bundle that name files."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from zoo.registration.initial_affine import with_absolute_paths


def resolve_settings(settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return settings in which files have absolute paths, because a plan is used from any folder.

    These are the file of an initial affine alignment and a preset of MCBO.
    """
    resolved = dict(settings or {})
    preset = resolved.get("preset")
    if isinstance(preset, (str, PathLike)):
        resolved["preset"] = str(Path(preset).absolute())
    return with_absolute_paths(resolved)
