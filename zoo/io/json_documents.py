"""Reading of untrusted JSON files: limited size and depth, no duplicate keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zoo.errors import UserError
from zoo.io.files import AnyPath, existing_file
from zoo.io.limits import MAX_JSON_BYTES, check_file_size, check_plain_value

_JSON_TYPES = {list: "array", str: "string", bool: "boolean", type(None): "null"}


def read_json_object(path: AnyPath, limit: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """Read a JSON object of at most `limit` bytes. No other format is tried, such as pickle."""
    file = existing_file(path)
    check_file_size(file, limit, "leave out what is not needed")
    try:
        value = parse_json(file.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        raise UserError(
            f"{file} is not valid JSON (it is not a text file); give a JSON file"
        ) from None
    except ValueError as error:
        raise UserError(f"{file} is not valid JSON ({error}); correct it") from None
    if not isinstance(value, dict):
        raise UserError(
            f"{file} contains a JSON {_JSON_TYPES.get(type(value), 'number')}, not an object; "
            "enclose it in { }"
        )
    return value


def parse_json(text: str) -> Any:
    """Return the value of a JSON text; ValueError says why it is refused."""
    try:
        value = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply: make its lists flat") from None
    check_plain_value(value)
    return value


@contextmanager
def report_missing_keys(path: AnyPath) -> Iterator[None]:
    """Report which keys are missing from `path`, a file that was edited by hand.

    A KeyError, TypeError, AttributeError or IndexError in the block becomes a UserError.
    """
    try:
        yield
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(
            f"{path} is incomplete or was edited by hand ({type(error).__name__}: {error}); "
            "create it again"
        ) from error


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique: dict[str, Any] = {}
    for key, value in pairs:
        if key in unique:
            raise ValueError(f"the key {key[:60]!r} occurs twice: keep one")
        unique[key] = value
    return unique


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not allowed in JSON: write a number or null")
