"""Names of transforms as a user writes them: a file, with markers before it.

`inverse:FILE` is the inverse of a transform. `fsl:FILE` and `world:FILE` name the coordinates of a
text matrix. Several markers may be combined, as in `inverse:fsl:FILE`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zoo.errors import UserError
from zoo.geometry import Grid
from zoo.geometry.chain import Link
from zoo.io.transforms.formats import TransformFormat, detect_format, read_transform


@dataclass(frozen=True)
class NamedTransform:
    """A transform file, whether it is inverted, and its format if a marker names it."""

    file: str
    inverted: bool = False
    format: TransformFormat | None = None


def parse_name(name: str) -> NamedTransform:
    """Return what a name with markers means."""
    inverted, format, file = False, None, name
    while True:
        marker, colon, rest = file.partition(":")
        if not colon or marker not in ("inverse", "fsl", "world"):
            break
        if marker == "inverse":
            inverted = not inverted
        elif format is not None:
            raise UserError(f"{name} names two formats; write one of fsl: and world:")
        else:
            format = marker
        file = rest
    if not file:
        raise UserError(f"{name} has no file after its marker; write {name}FILE")
    if format == "fsl":
        return NamedTransform(file, inverted, "fsl")
    return NamedTransform(file, inverted, "world" if format == "world" else None)


def read_chain(
    names: Sequence[str], fixed: Grid | None = None, moving: Grid | None = None
) -> list[Link]:
    """Read transforms, in order from the fixed to the moving image.

    The first one is applied first to points of the fixed image. `fixed` and `moving` are the grids
    of the two images at the ends of the chain, which some formats need.
    """
    links = []
    for name in names:
        named = parse_name(name)
        if len(names) > 1 and _needs_images(named):
            raise UserError(
                f"{name} can only be read with its own two images; convert it first: regzoo "
                f"convert {name.replace('inverse:', '')} OUT.tfm --fixed IMAGE --moving IMAGE "
                "(OUT.h5 if it is a displacement field)"
            )
        grids = (moving, fixed) if named.inverted else (fixed, moving)
        links.append(Link(read_transform(named.file, *grids, named.format), named.inverted))
    return links


def _needs_images(named: NamedTransform) -> bool:
    return (named.format or detect_format(named.file)) in ("fsl", "learn2reg")
