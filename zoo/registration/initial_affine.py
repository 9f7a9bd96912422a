"""The setting `affine`: which initial affine alignment to search for, or the file of one."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

from torch import Tensor

from zoo.errors import UserError
from zoo.io.transforms import read_affine

AffineKind = Literal["auto", "none", "com", "rigid", "affine"]
KINDS: tuple[str, ...] = get_args(AffineKind)


def with_absolute_paths(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with the path of an affine transform file made absolute.

    A plan can then be run from any folder. A value that is neither a kind of alignment nor a file
    is refused.
    """
    affine = settings.get("affine")
    if affine is None or _is_kind(affine):
        return dict(settings)
    return {**settings, "affine": str(_file(affine).absolute())}


def read_given_affine(affine: object) -> Tensor | None:
    """Return the matrix of an affine transform file, 4x4, RAS+ mm; None for a kind to search."""
    return None if _is_kind(affine) else read_affine(_file(affine))


def _is_kind(affine: object) -> bool:
    return isinstance(affine, str) and affine in KINDS


def _file(affine: object) -> Path:
    try:
        if isinstance(affine, (str, PathLike)) and Path(affine).is_file():
            return Path(affine)
    except OSError:  # the name is too long
        pass
    raise UserError(f"--affine {affine!r:.200} is not a file and not one of {', '.join(KINDS)}")
