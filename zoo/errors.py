"""The exception for problems that the user can correct, and what its messages share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class UserError(Exception):
    """A problem that the user can correct; the command prints it as one line and exits with 2.

    The message quotes the bad value and the file, and says what is allowed and what to do. `code`
    names the kind of problem for programs, such as "truncated"; rewording the message keeps it.
    """

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


def nearest(key: Any, known: Iterable[str]) -> str:
    """Return a hint at the known name that is nearest to `key`; empty if none is near."""
    close = difflib.get_close_matches(str(key)[:100], list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def on_one_line(text: object) -> str:
    """Return a text for a terminal, on one line.

    Control characters, which could change what the terminal shows, are escaped.
    """
    line = " ".join(str(text).split())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
