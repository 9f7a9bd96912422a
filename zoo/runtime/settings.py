"""Settings that a user gives for a bundle: KEY=VALUE arguments and paths of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import UserError


def absolute_paths(files: Mapping[str, str | Sequence[str] | None]) -> dict[str, Any]:
    """Return the paths as absolute ones and omit those that are None.

    The setting "moving" may name several images, as a list or as one string with commas. A config
    evaluates strings that begin with $, @ or %, which a relative path might; an absolute path never
    does.
    """
    out: dict[str, Any] = {}
    for name, value in files.items():
        if value is None:
            continue
        parts = [value] if isinstance(value, str) else list(value)
        if name == "moving" and isinstance(value, str) and not Path(value).exists():
            parts = [part.strip() for part in value.split(",")]
        paths = [str(Path(part).absolute()) for part in parts]
        out[name] = paths if len(paths) > 1 else paths[0]
    return out


def parse_settings(arguments: Sequence[str], known: Sequence[str]) -> dict[str, Any]:
    """Convert KEY=VALUE arguments to settings of a bundle; a value is parsed as YAML.

    `known` are the names of settings, the first of which serves as an example in the error message.
    """
    import yaml

    # The registration package takes seconds to import; commands without settings do not need it.
    from zoo.registration.initial_affine import with_absolute_paths

    out: dict[str, Any] = {}
    for argument in arguments:
        key, sign, value = argument.partition("=")
        if not sign or not key:
            raise UserError(f"--set {argument!r} must be KEY=VALUE, such as --set {known[0]}=VALUE")
        try:
            out[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserError(f"--set {argument!r}: the value is not valid YAML; quote it") from error
        if key == "preset" and isinstance(out[key], str):  # a plan can be run from any folder
            out[key] = str(Path(out[key]).absolute())
        if _is_expression(value) or _is_expression(out[key]):
            raise UserError(
                f"--set {argument!r}: the value must not be an expression; "
                "write expressions into a config file"
            )
    return with_absolute_paths(out)


def _is_expression(value: Any) -> bool:
    """Return whether MONAI would evaluate a value or a part of it."""
    if isinstance(value, Mapping):
        return any(_is_expression(part) for part in (*value.keys(), *value.values()))
    if isinstance(value, list):
        return any(map(_is_expression, value))
    return isinstance(value, str) and value.lstrip().startswith(("$", "@", "%"))
