"""Helpers that several commands use for their arguments and their output."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.geometry import Grid, Transform
    from zoo.geometry.chain import Link


QUALITY_FAILED = 3
"""The exit code with --strict if the quality of a registration is failed."""

INVERSION_TOLERANCE_MM = 0.01
"""The largest error of an inverted transform that is not worth a message."""


def grid_of(image: str | None) -> Grid | None:
    """Return the grid of an image file, read from its header; None if no file is given.

    The volumes of a 4-D file have one grid.
    """
    from zoo.io.volume import read_header

    return None if image is None else read_header(image, volume=0).grid


def names_of(transform: str | list[str]) -> list[str]:
    """Return the names of one or several transforms as a list."""
    return [transform] if isinstance(transform, str) else transform


def transform_files(names: list[str]) -> dict[str, str | None]:
    """Return the files of transforms by their description in messages."""
    from zoo.io.transforms.names import parse_name

    files = [parse_name(name).file for name in names]
    if len(files) == 1:
        return {"the transform": files[0]}
    return {f"transform {k}": file for k, file in enumerate(files, start=1)}


def open_chain(names: list[str], fixed: str | None, moving: str | None) -> list[Link]:
    """Read transforms; `fixed` and `moving` are image files, which some formats need."""
    from zoo.io.transforms.names import read_chain

    return read_chain(names, grid_of(fixed), grid_of(moving))


def open_transform(names: list[str], fixed: str | None, moving: str | None) -> Transform:
    """Read transforms and compose them; several are composed on the grid of the fixed image.

    The error of an inversion is printed if it exceeds a hundredth of a millimetre.
    """
    from zoo.geometry.chain import compose

    chain = open_chain(names, fixed, moving)
    grid = grid_of(fixed) if len(chain) > 1 or chain[0].inverted else None
    starts_with_grid = chain[0].transform.field is not None and not chain[0].inverted
    dense = any(link.transform.field is not None for link in chain)
    if grid is None and dense and not starts_with_grid:
        raise UserError(
            f"the composition of {' '.join(names)} needs a grid; add --fixed IMAGE, the image onto "
            "whose grid the composition maps"
        )
    composed = compose(chain, grid)
    if composed.error_mm > INVERSION_TOLERANCE_MM:
        print(
            f"regzoo: the inverse is exact to {composed.error_mm:.3g} mm only; the displacement "
            "field may fold there",
            file=sys.stderr,
        )
    return composed.transform


def output_grid(transform: Transform, path: str, fixed: str | None) -> Grid:
    """Return the grid of the fixed image if one is given, else that of the transform."""
    grid = grid_of(fixed) or transform.grid
    if grid is None:
        raise UserError(f"{path} is an affine transform without a grid; add --fixed IMAGE")
    return grid


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun in the singular or plural, such as "1 pair" or "2 pairs"."""
    return f"{count} {noun}" if count == 1 else f"{count} {plural or f'{noun}s'}"


def report_lines(silent: bool = False) -> Callable[[str], None]:
    """Return a function that prints a line about the progress, or does nothing if `silent`."""

    def report(line: str) -> None:
        if not silent:
            print(line, file=sys.stderr, flush=True)

    return report


def stopped(number: int) -> int:
    """Say that a signal stopped a command that can be resumed; return the exit code."""
    report_lines()("regzoo: stopped; run the same command again to resume")
    return 128 + number


def verdict_lines(quality: str | None, warnings: Sequence[str]) -> list[str]:
    """Return one line per quality warning, preceded by the quality."""
    return [f"quality {quality}: {warning}" for warning in warnings]


def refuse_together(**given: bool) -> None:
    """Raise `UserError` if more than one of these options is given; they exclude each other."""
    flags = [f"--{name}" for name, value in given.items() if value]
    if len(flags) > 1:
        raise UserError(f"{' and '.join(flags)} exclude each other; give one of them")


def print_json(value: Any) -> None:
    """Print a value as one JSON document."""
    import json

    print(json.dumps(value, indent=2, allow_nan=False))


@contextmanager
def uncollected_imports() -> Iterator[None]:
    """Import torch and other large libraries in this block without collecting garbage.

    Python's collector would visit the objects of a library again and again while it is imported,
    and later at every full collection. They are never garbage.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def progress_bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that takes the steps done and the total, and updates a progress bar.

    The bar is shown on a terminal only.
    """
    from tqdm import tqdm

    with tqdm(desc=name, leave=False, disable=not sys.stderr.isatty()) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
