"""What several commands do with their arguments."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.geometry import Grid, Transform


def grid_of(image: str | None) -> Grid | None:
    """Return the grid of an image file, from its header; None for no file."""
    from zoo.io.volume import read_header

    return None if image is None else read_header(image).grid


def open_transform(path: str, fixed: str | None, moving: str | None) -> Transform:
    """Read a transform; `fixed` and `moving` are images, which a Learn2Reg field needs."""
    from zoo.io.transforms import read_transform

    return read_transform(path, fixed=grid_of(fixed), moving=grid_of(moving))


def output_grid(transform: Transform, path: str, fixed: str | None) -> Grid:
    """Return the grid of the fixed image, or else the transform's own."""
    grid = grid_of(fixed) or transform.grid
    if grid is None:
        raise UserError(f"{path} is affine and has no grid of its own; add --fixed IMAGE")
    return grid


@contextmanager
def progress_bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """Yield what is called with steps done and steps in all; a bar where a person looks on."""
    from tqdm import tqdm

    with tqdm(desc=name, leave=False, disable=not sys.stderr.isatty()) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
