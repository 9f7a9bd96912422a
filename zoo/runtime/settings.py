"""Settings of a bundle that a user gives as KEY=VALUE arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.errors import UserError
from zoo.io.yaml_documents import parse_yaml


def parse_settings(arguments: Sequence[str], known: Sequence[str]) -> dict[str, Any]:
    """Convert KEY=VALUE arguments to settings of a bundle; a value is parsed as YAML.

    `known` are the names of settings, the first of which serves as an example in the error message.
    Names, types and ranges are validated where the model is known.
    """
    out: dict[str, Any] = {}
    for argument in arguments:
        key, sign, value = argument.partition("=")
        shown = argument if len(argument) <= 80 else f"{argument[:77]}..."
        if not sign or not key:
            raise UserError(f"--set {shown!r} must be KEY=VALUE, such as --set {known[0]}=VALUE")
        out[key] = _parse_value(value, shown)
        if _is_expression(value) or _is_expression(out[key]):
            raise UserError(
                f"--set {shown!r}: the value must not be an expression, which begins with $, @ or "
                "%; write ./ before the name of such a file"
            )
    return out


def _parse_value(text: str, shown: str) -> Any:
    """Return a value that was written as YAML."""
    try:
        return parse_yaml(text)
    except ValueError as error:
        raise UserError(
            f"--set {shown!r}: the value is not valid YAML ({error}); quote it"
        ) from error


def _is_expression(value: Any) -> bool:
    """Return whether MONAI would evaluate a value or a part of it."""
    if isinstance(value, Mapping):
        return any(_is_expression(part) for part in (*value.keys(), *value.values()))
    if isinstance(value, list):
        return any(map(_is_expression, value))
    return isinstance(value, str) and value.lstrip().startswith(("$", "@", "%"))
