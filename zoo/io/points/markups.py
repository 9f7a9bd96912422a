"""Points as markups of 3D Slicer (.mrk.json): lists of points, lines, angles and curves."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.errors import UserError
from zoo.io.json_documents import read_json_object
from zoo.io.lps import flip_points
from zoo.io.points.document import PointDocument, no_points_error

TYPES = ("Fiducial", "Line", "Angle", "Curve", "ClosedCurve")
"""The types of markups that are determined by their control points alone."""


def read_markups(file: Path) -> PointDocument:
    """Read the control points of all markups in a file, in their order."""
    document = read_json_object(file)
    markups = document.get("markups")
    if not isinstance(markups, list) or not all(isinstance(m, dict) for m in markups):
        raise UserError(f"{file} has no list 'markups'; give points that 3D Slicer saved")
    points = [torch.empty(0, 3, dtype=torch.float64)]
    for markup in markups:
        _check(file, markup)
        found = [_position(file, point) for point in _control_points(file, markup)]
        coordinates = torch.tensor(found, dtype=torch.float64).reshape(-1, 3)
        points.append(flip_points(coordinates) if _is_lps(markup) else coordinates)
    if not sum(map(len, points)):
        raise no_points_error(file)
    return PointDocument(
        "markups", torch.cat(points), True, lambda new: _with_points(document, new)
    )


def _check(file: Path, markup: dict[str, Any]) -> None:
    """Refuse markups that need more than their points, other units and other coordinates."""
    if markup.get("type") not in TYPES:
        raise UserError(
            f"{file} has markups of the type {str(markup.get('type'))[:40]!r}; allowed are "
            f"{', '.join(TYPES)}: save the others in a file of their own"
        )
    system = markup.get("coordinateSystem", "LPS")
    if system not in ("LPS", "RAS"):
        raise UserError(
            f"{file} has the coordinate system {str(system)[:40]!r}; allowed are LPS and RAS"
        )
    units = markup.get("coordinateUnits", "mm")
    unit = units[0] if isinstance(units, list) and units else units
    if unit != "mm":
        raise UserError(f"{file} has coordinates in {str(unit)[:40]!r}; only mm are allowed")


def _is_lps(markup: dict[str, Any]) -> bool:
    return bool(markup.get("coordinateSystem", "LPS") == "LPS")


def _control_points(file: Path, markup: dict[str, Any]) -> list[dict[str, Any]]:
    points = markup.get("controlPoints", [])
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        raise UserError(f"{file}: the controlPoints of a markup must be a list of points")
    return points


def _position(file: Path, point: dict[str, Any]) -> list[float]:
    """Return the position of a control point, which the user must have placed."""
    label = str(point.get("label", ""))[:40]
    status = point.get("positionStatus", "defined")
    if status != "defined":
        raise UserError(
            f"{file}: the position of the point {label!r} is {str(status)[:20]}; place the point "
            "in 3D Slicer or delete it"
        )
    position = point.get("position")
    if not isinstance(position, list) or len(position) != 3 or not all(map(_is_number, position)):
        raise UserError(
            f"{file}: the position of the point {label!r} is {str(position)[:60]}; it must be "
            "three numbers"
        )
    return [float(value) for value in position]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _with_points(document: dict[str, Any], points: Tensor) -> bytes:
    """Return the content of a file with other points, (n, 3) in RAS+ mm."""
    changed = deepcopy(document)
    rest = points
    for markup in changed["markups"]:
        controls = markup.get("controlPoints", [])
        own, rest = rest[: len(controls)], rest[len(controls) :]
        own = flip_points(own) if _is_lps(markup) else own
        for point, position in zip(controls, own.tolist(), strict=True):
            point["position"] = position
    return (json.dumps(changed, indent=4, ensure_ascii=False) + "\n").encode()
