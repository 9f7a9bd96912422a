"""Key points of a dataset: lists of coordinates that go with images and with each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from zoo.datasets.headers import HeaderFacts
from zoo.datasets.problems import Problem, problem_from_error, warning
from zoo.datasets.scan import DatasetScan
from zoo.errors import UserError
from zoo.io.points import read_points

MARGIN = 0.5
"""Voxels by which a point may lie beyond the centre of an outer voxel."""


def coordinates(survey: DatasetScan, name: str) -> np.ndarray | UserError:
    """Return the numbers of a file as they stand (n, 3), or why it cannot be read."""
    try:
        return read_points(survey.dataset.root / name, "ras").numpy()
    except (UserError, OSError, ValueError) as error:
        return error if isinstance(error, UserError) else UserError(f"{name}: {error}")


def to_index(
    points: np.ndarray, header: HeaderFacts, space: Literal["ras", "lps", "voxel"]
) -> np.ndarray:
    """Return points (n, 3) of a space as voxels of an image (n, 3)."""
    if space == "voxel":
        return points
    points = points * [-1, -1, 1] if space == "lps" else points
    inverse = np.linalg.inv(np.array(header.affine))
    mapped: np.ndarray = points @ inverse[:3, :3].T + inverse[:3, 3]
    return mapped


def outside(index: np.ndarray, header: HeaderFacts) -> int:
    """Count points (n, 3), voxels, that lie beyond an image."""
    beyond = (index < -MARGIN) | (index > np.array(header.shape) - 1 + MARGIN)
    return int(beyond.any(axis=1).sum())


def point_problems(survey: DatasetScan) -> Iterator[Problem]:
    """Yield files that cannot be read, points beyond their image, and counts that differ."""
    dataset = survey.dataset
    counts: dict[str, int] = {}
    for item in dataset.by_image.values():
        if item.points is None or item.points in counts:
            continue
        found = coordinates(survey, item.points)
        if isinstance(found, UserError):
            yield problem_from_error(found, item.points, str(dataset.root / item.points))
            continue
        counts[item.points] = len(found)
        if dataset.points_space == "voxel" and _has_header(survey, item.points):
            fix = "take the row out: programs of the challenge read it as a point"
            yield warning("points-header", item.points, "the first row is a header", fix)
        header = survey.headers.get(item.image)
        if header is not None:
            yield from _place_problems(survey, item.points, found, header)
    for pair in dataset.named_pairs:
        names = [dataset.by_image[image].points for image in (pair.fixed, pair.moving)]
        known = [counts[name] for name in names if name in counts]
        if len(known) == 2 and known[0] != known[1]:
            what = f"it has {known[1]} points and {names[0]} of its partner {known[0]}"
            fix = "row n of both must be one place of the anatomy"
            yield Problem("points-count", str(names[1]), what, fix)


def _has_header(survey: DatasetScan, name: str) -> bool:
    with (survey.dataset.root / name).open(encoding="utf-8-sig", errors="replace") as stream:
        return any(c.isalpha() for c in stream.readline(1000).replace("e", ""))


def _place_problems(
    survey: DatasetScan, name: str, points: np.ndarray, header: HeaderFacts
) -> Iterator[Problem]:
    """Yield points that lie beyond their image, and say if another space would hold them."""
    space = survey.dataset.points_space
    count = outside(to_index(points, header, space), header)
    if not count:
        return
    spaces: tuple[Literal["ras", "lps", "voxel"], ...] = ("ras", "lps", "voxel")
    fitting = [s for s in spaces if s != space and not outside(to_index(points, header, s), header)]
    what = f"{count} of {len(points)} points lie outside {header.name} when read as {space}"
    if fitting:
        unit = "voxels" if fitting == ["voxel"] else "mm"
        fix = f'set "points_space": "{fitting[0]}" in dataset.json, or convert them'
        yield Problem("points-space", name, f"{what}; they are probably in {unit}", fix)
    else:
        yield Problem("points-outside", name, what, "correct them, or name their right image")
