"""Points together with the file that they were read from, so that they can be written back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from zoo.errors import UserError
from zoo.io.files import AnyPath

PointKind = Literal["csv", "fcsv", "markups", "vtk", "vtp"]

POINT_SUFFIXES: dict[PointKind, tuple[str, ...]] = {
    "csv": (".csv", ".txt"),
    "fcsv": (".fcsv",),
    "markups": (".json",),
    "vtk": (".vtk",),
    "vtp": (".vtp",),
}
"""The suffixes of the files of each kind; that of markups is usually .mrk.json."""


@dataclass(frozen=True, eq=False)
class PointDocument:
    """The points of a file, and how to write other points into a copy of it.

    If the file records its space, `points` (n, 3), float64, are in RAS+ mm. Otherwise they are the
    numbers of the file, whose space the user has to name. `render` takes points of the same number
    and space and returns the content of the file with them; names, lines and other columns stay.
    """

    kind: PointKind
    points: Tensor
    has_space: bool
    render: Callable[[Tensor], bytes]

    def check_name(self, path: AnyPath) -> None:
        """Refuse a name for a file of this kind whose suffix stands for another kind."""
        name = Path(path).name.lower()
        others = [s for k, suffixes in POINT_SUFFIXES.items() if k != self.kind for s in suffixes]
        if name.endswith(tuple(others)) and not name.endswith(POINT_SUFFIXES[self.kind]):
            raise UserError(
                f"cannot write the points as {path}: they are written in the kind of file they "
                f"came in, so the name must end in {POINT_SUFFIXES[self.kind][0]}"
            )


def parse_number(text: str, where: str) -> float:
    """Return a finite number; `where` names the file and the line in errors."""
    if not is_number(text):
        raise UserError(
            f"{where}: {text.strip()[:40]!r} is not a number; correct it", code="points-not-numbers"
        )
    if not math.isfinite(float(text)):
        raise UserError(
            f"{where}: {text.strip()} is not finite; remove or correct the row", code="not-finite"
        )
    return float(text)


def is_number(text: str) -> bool:
    """Return whether a text is a number; Python alone would allow 1_000 and other digits too."""
    if "_" in text or not text.isascii():
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


def no_points_error(file: Path) -> UserError:
    """Return the error for a file without points."""
    return UserError(f"{file} has no points; give x, y, z per row", code="points-none")
