"""Reading of points in every kind of file, detected from the content."""

from __future__ import annotations

from torch import Tensor

from zoo.errors import UserError
from zoo.geometry import Grid
from zoo.io.files import AnyPath, existing_file
from zoo.io.limits import MAX_COORDINATE
from zoo.io.points.document import PointDocument
from zoo.io.points.fcsv import is_fcsv, read_fcsv
from zoo.io.points.markups import read_markups
from zoo.io.points.spaces import Space, check_space, to_world
from zoo.io.points.table import read_table
from zoo.io.points.vtk import is_vtk, read_vtk
from zoo.io.points.vtp import is_vtp, read_vtp


def read_points(path: AnyPath, space: Space, grid: Grid | None = None) -> Tensor:
    """Read points (n, 3), RAS+ mm, float64.

    `space` is the space of a file that does not record it: "ras" or "lps" in mm, or "voxel" for
    indices of `grid`. The space that a file records is always used.
    """
    document = read_point_document(path)
    if document.has_space:
        return document.points
    check_space(space, grid)
    world = to_world(document.points, space, grid)
    _check_distance(path, world)
    return world


def read_point_document(path: AnyPath) -> PointDocument:
    """Read points together with the rest of their file."""
    file = existing_file(path)
    with file.open("rb") as stream:
        start = stream.read(4096)
    if is_fcsv(start):
        document = read_fcsv(file)
    elif is_vtk(start):
        document = read_vtk(file)
    elif is_vtp(start):
        document = read_vtp(file)
    elif start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        document = read_markups(file)
    else:
        document = read_table(file)
    _check_distance(path, document.points)
    return document


def _check_distance(path: AnyPath, points: Tensor) -> None:
    if not bool((points.abs() <= MAX_COORDINATE).all()):  # NaN is refused too
        raise UserError(
            f"{path} has points more than {MAX_COORDINATE:g} mm from the origin; correct them",
            code="points-too-far",
        )
