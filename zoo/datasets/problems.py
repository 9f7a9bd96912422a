"""A problem of a dataset: what is wrong, in which file, and how to correct it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

from zoo.errors import on_one_line


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a dataset.

    `id` names the kind of problem and is stable across versions, such as `path-absolute`; `what`
    describes the problem and `fix` the remedy. An error makes the files unusable as they are; a
    warning should be looked at.
    """

    id: str
    file: str
    what: str
    fix: str
    level: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return on_one_line(f"{self.level} {self.id}: {self.file}: {self.what}; {self.fix}")

    def to_json(self) -> dict[str, Any]:
        """Return the problem as plain data."""
        return asdict(self)


def warning(id: str, file: str, what: str, fix: str) -> Problem:
    """Return a problem of the level "warning"."""
    return Problem(id, file, what, fix, "warning")


def problem_from_error(error: Exception, file: str, path: str) -> Problem:
    """Return the error that a reader raised for `path` as a problem of the dataset's `file`.

    The code of a `UserError` becomes the id. The text is split into problem and remedy at its last
    semicolon or else its last colon, and does not repeat the path.
    """
    text = " ".join(str(error).split())
    text = re.sub(rf"^{re.escape(path)}(?= )", "the file", text)
    text = re.sub(rf"(^| ){re.escape(path)}(?=[\s,:;]|$)", "", text).strip(" ,:")
    what, _, fix = text.rpartition("; ")
    if not what:
        what, _, fix = text.rpartition(": ")
    id = getattr(error, "code", None) or "unreadable"
    return Problem(id, file, what or text, fix or "copy the file again or recreate it")
