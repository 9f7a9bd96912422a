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


_KINDS = (
    ("affine with NaN", "affine"),
    ("NaN or Inf", "not-finite"),
    ("not finite", "not-finite"),
    ("vector field", "vector-field"),
    ("several volumes", "several-volumes"),
    ("not three-dimensional", "not-3d"),
    ("complex", "voxels-complex"),
    ("RGB", "voxels-colour"),
    ("truncated", "truncated"),
    ("contrary to its name", "name-gzip"),
    (".hdr/.img", "nifti-pair"),
    ("not whole numbers", "labels-not-whole"),
    ("neither sform nor qform", "forms-missing"),
    ("sform and a qform that disagree", "forms-differ"),
    ("qform that is not a rotation", "qform-broken"),
    ("unit is", "unit"),
    ("in pixdim and", "spacing-differs"),
    ("sheared", "sheared"),
    ("affine", "affine"),
    ("spacing (pixdim)", "spacing-not-positive"),
    ("scales its voxels", "scaling"),
    ("not a number", "points-not-numbers"),
    ("columns", "points-columns"),
    ("no points", "points-none"),
    ("axes", "header"),
)
"""What a reader's refusal says, and the word for it; the first that fits."""


def problem_of(error: Exception, file: str, path: str) -> Problem:
    """Return a reader's refusal of `path` as a problem of the dataset's `file`."""
    text = " ".join(str(error).split()).replace(path, "").strip(" ,:")
    what, _, fix = text.rpartition("; ")
    if not what:
        what, _, fix = text.rpartition(": ")
    kind = next((id for phrase, id in _KINDS if phrase in text), "unreadable")
    return Problem(kind, file, what or text, fix or "copy or make it again")
