"""What comes before the deformation: a family of affine maps to search, or the file of one map."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

from torch import Tensor

from zoo.errors import UserError
from zoo.io.transforms import read_affine

Affine = Literal["auto", "none", "com", "rigid", "affine"]
KINDS: tuple[str, ...] = get_args(Affine)


def with_absolute_paths(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in which the file of an affine map is named by its absolute path.

    A plan is run from any folder. What is neither a file nor a family is refused.
    """
    affine = settings.get("affine")
    if affine is None or _is_kind(affine):
        return dict(settings)
    return {**settings, "affine": str(_file(affine).absolute())}


def read_given_affine(affine: object) -> Tensor | None:
    """Return the map of a file, 4x4, RAS+ mm; None for a family of maps."""
    return None if _is_kind(affine) else read_affine(_file(affine))


def _is_kind(affine: object) -> bool:
    return isinstance(affine, str) and affine in KINDS


def _file(affine: object) -> Path:
    try:
        if isinstance(affine, (str, PathLike)) and Path(affine).is_file():
            return Path(affine)
    except OSError:  # a name that is too long
        pass
    raise UserError(f"--affine {affine!r:.200} is no file and none of {', '.join(KINDS)}")
