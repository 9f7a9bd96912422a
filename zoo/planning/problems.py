"""A problem of a dataset: what is wrong, where, and how to mend it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. `id` is a stable word such as `path-absolute`.

    An error makes the files unusable as they are; a warning is something to look at.
    """

    id: str
    file: str
    what: str
    fix: str
    level: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"{self.level} {self.id}: {self.file}: {self.what}; {self.fix}"

    def to_json(self) -> dict[str, Any]:
        """Return the problem as plain data."""
        return asdict(self)


def warning(id: str, file: str, what: str, fix: str) -> Problem:
    """Return a problem that is no error."""
    return Problem(id, file, what, fix, "warning")
