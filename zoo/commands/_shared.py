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


QUALITY_FAILED = 3
"""The exit code with --strict if the quality of a registration is failed."""


def grid_of(image: str | None) -> Grid | None:
    """Return the grid of an image file, read from its header; None if no file is given."""
    from zoo.io.volume import read_header

    return None if image is None else read_header(image).grid


def open_transform(path: str, fixed: str | None, moving: str | None) -> Transform:
    """Read a transform. A Learn2Reg field also needs the image files `fixed` and `moving`."""
    from zoo.io.transforms import read_transform

    return read_transform(path, fixed=grid_of(fixed), moving=grid_of(moving))


def output_grid(transform: Transform, path: str, fixed: str | None) -> Grid:
    """Return the grid of the fixed image if one is given, else that of the transform."""
    grid = grid_of(fixed) or transform.grid
    if grid is None:
        raise UserError(f"{path} is an affine transform without a grid; add --fixed IMAGE")
    return grid


def counted(count: int, noun: str) -> str:
    """Return a number with its noun in the singular or plural, such as "1 pair" or "2 pairs"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def verdict_lines(quality: str | None, warnings: Sequence[str]) -> list[str]:
    """Return one line per quality warning, preceded by the quality."""
    return [f"quality {quality}: {warning}" for warning in warnings]


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
