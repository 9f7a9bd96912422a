"""Refusal to write over an input."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from zoo.errors import UserError
from zoo.io.files import AnyPath


def refuse_overwriting(inputs: Mapping[str, AnyPath | None], outputs: Iterable[AnyPath]) -> None:
    """Raise `UserError` if an input and an output are the same file, also through links.

    Args:
        inputs: The path of each input by its description, such as "the fixed image" or "--plan".
        outputs: The files that will be written or removed.
    """
    targets = list(outputs)
    for description, path in inputs.items():
        for output in targets:
            if path is not None and _same_file(path, output):
                raise UserError(
                    f"{description} ({os.fspath(path)}) would be overwritten, because the output "
                    f"{os.fspath(output)} is the same file; choose another output"
                )


def _same_file(one: AnyPath, other: AnyPath) -> bool:
    """Return whether both paths lead to the same existing file."""
    try:
        return Path(one).samefile(other)
    except (OSError, ValueError):  # one of them does not exist
        return False
