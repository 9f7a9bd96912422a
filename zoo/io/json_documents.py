"""Reading JSON that somebody else wrote: its size and depth are bounded, keys are unique."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zoo.errors import UserError
from zoo.io.files import AnyPath, existing_file

MOST_BYTES = 64 << 20
"""A list of ten thousand pairs takes about 3 MiB."""


def read_object(path: AnyPath) -> dict[str, Any]:
    """Read a JSON object. Pickles and other formats are never tried."""
    file = existing_file(path)
    size = file.stat().st_size
    if size > MOST_BYTES:
        raise UserError(f"{file} has {size} bytes; at most {MOST_BYTES} are read: list files only")
    try:
        value = json.loads(
            file.read_text(encoding="utf-8-sig"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
        )
    except RecursionError:
        raise UserError(f"{file} is nested too deeply; lists of files are flat") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not the JSON it should be ({error}); correct it") from None
    if not isinstance(value, dict):
        raise UserError(f"{file} holds {type(value).__name__}, not an object; begin it with {{")
    return value


@contextmanager
def complete(path: AnyPath) -> Iterator[None]:
    """Say of a file that was changed by hand what is missing in it, whoever looks for it."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(
            f"{path} is incomplete, or was changed by hand ({type(error).__name__}: {error}); "
            "make it again"
        ) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in pairs:
        if key in out:
            raise ValueError(f"the key {key[:60]!r} is there twice: keep one")
        out[key] = value
    return out


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON: write a number or null")
