"""Reading and writing of points: one module per format."""

from zoo.io.points.document import POINT_SUFFIXES, PointDocument, PointKind
from zoo.io.points.files import read_point_document, read_points
from zoo.io.points.spaces import Space, check_space, from_world, to_world
from zoo.io.points.table import write_points

__all__ = [
    "POINT_SUFFIXES",
    "PointDocument",
    "PointKind",
    "Space",
    "check_space",
    "from_world",
    "read_point_document",
    "read_points",
    "to_world",
    "write_points",
]
