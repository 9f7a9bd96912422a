"""Checks of a dataset's key points: against their image, and between the images of a pair."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from zoo.datasets.headers import HeaderFacts
from zoo.datasets.problems import Problem, problem_from_error, warning
from zoo.datasets.scan import DatasetScan
from zoo.errors import UserError
from zoo.io.points import PointDocument, read_point_document

MARGIN = 0.5
"""Distance in voxels by which a point may lie beyond the centre of an outermost voxel."""


def read_coordinates(scan: DatasetScan, name: str) -> PointDocument | UserError:
    """Return the points of a file, or why it is unreadable."""
    try:
        return read_point_document(scan.dataset.root / name)
    except (UserError, OSError, ValueError) as error:
        return error if isinstance(error, UserError) else UserError(f"{name}: {error}")


def points_to_voxels(
    points: np.ndarray, header: HeaderFacts, space: Literal["ras", "lps", "voxel"]
) -> np.ndarray:
    """Return points (n, 3) given in `space` as voxel coordinates (n, 3) of an image."""
    if space == "voxel":
        return points
    points = points * [-1, -1, 1] if space == "lps" else points
    inverse = np.linalg.inv(np.array(header.affine))
    mapped: np.ndarray = points @ inverse[:3, :3].T + inverse[:3, 3]
    return mapped


def document_to_voxels(
    document: PointDocument, header: HeaderFacts, space: Literal["ras", "lps", "voxel"]
) -> np.ndarray:
    """Return the points of a file as voxel coordinates; `space` is that of files without one."""
    known = "ras" if document.has_space else space
    return points_to_voxels(document.points.numpy(), header, known)


def count_outside(index: np.ndarray, header: HeaderFacts) -> int:
    """Return how many points (n, 3), in voxel coordinates, lie outside an image."""
    beyond = (index < -MARGIN) | (index > np.array(header.shape) - 1 + MARGIN)
    return int(beyond.any(axis=1).sum())


def point_problems(scan: DatasetScan) -> Iterator[Problem]:
    """Yield unreadable files, points outside their image, and pairs with different numbers."""
    dataset = scan.dataset
    counts: dict[str, int] = {}
    for item in dataset.by_image.values():
        if item.points is None or item.points in counts:
            continue
        document = read_coordinates(scan, item.points)
        if isinstance(document, UserError):
            yield problem_from_error(document, item.points, str(dataset.root / item.points))
            continue
        counts[item.points] = len(document.points)
        is_table = document.kind == "csv"
        if is_table and dataset.points_space == "voxel" and _has_header(scan, item.points):
            fix = "remove the row: the programs of Learn2Reg read it as a point"
            yield warning("points-header", item.points, "the first row is a header", fix)
        header = scan.headers.get(item.image)
        if header is not None:
            yield from _position_problems(scan, item.points, document, header)
    for pair in dataset.named_pairs:
        names = [dataset.by_image[image].points for image in (pair.fixed, pair.moving)]
        known = [counts[name] for name in names if name in counts]
        if len(known) == 2 and known[0] != known[1]:
            what = f"it has {known[1]} points, but {names[0]} of the same pair has {known[0]}"
            fix = "list corresponding landmarks in the same row of both files"
            yield Problem("points-count", str(names[1]), what, fix)


def _has_header(scan: DatasetScan, name: str) -> bool:
    """Return whether the first row of a table contains words."""
    with (scan.dataset.root / name).open(encoding="utf-8-sig", errors="replace") as stream:
        return any(c.isalpha() for c in stream.readline(1000).replace("e", ""))


def _position_problems(
    scan: DatasetScan, name: str, document: PointDocument, header: HeaderFacts
) -> Iterator[Problem]:
    """Yield a problem if points lie outside their image; name the space in which they would fit."""
    points = document.points.numpy()
    space = scan.dataset.points_space
    count = count_outside(document_to_voxels(document, header, space), header)
    if not count:
        return
    if document.has_space:
        what = f"{count} of {len(points)} points lie outside {header.name}"
        fix = "correct the points, or list them with the image they belong to"
        yield Problem("points-outside", name, what, fix)
        return
    spaces: tuple[Literal["ras", "lps", "voxel"], ...] = ("ras", "lps", "voxel")
    fitting = [
        s
        for s in spaces
        if s != space and not count_outside(points_to_voxels(points, header, s), header)
    ]
    what = f"{count} of {len(points)} points lie outside {header.name} when read as {space}"
    if fitting:
        unit = "voxels" if fitting == ["voxel"] else "mm"
        fix = f'set "points_space": "{fitting[0]}" in dataset.json, or convert the points'
        yield Problem("points-space", name, f"{what}; probably they are in {unit}", fix)
    else:
        fix = "correct the points, or list them with the image they belong to"
        yield Problem("points-outside", name, what, fix)
