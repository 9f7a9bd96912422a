"""The slices of a series as one volume: their order, their grid, and what is wrong with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoo.errors import UserError
from zoo.geometry import Grid
from zoo.io.dicom.headers import Frame
from zoo.io.dicom.series import Series
from zoo.io.limits import check_voxel_count
from zoo.io.lps import grid_from_itk

SAME_POSITION_MM = 0.01
"""Slices closer than this are at one position."""
SIDEWAYS_MM = 0.1
"""The largest sideways shift between the slices of a volume; a larger one is a gantry tilt."""
UNEVEN = 0.1
"""The largest error of a slice's position, as a fraction of the distance between slices."""
NOTED_UNEVEN = 0.01
"""The same fraction above which a warning states the error."""


@dataclass(frozen=True, eq=False)
class Stack:
    """The slices of one volume, first to last, on `grid` [columns, rows, slices]."""

    series: Series
    frames: tuple[Frame, ...]
    grid: Grid
    warnings: tuple[str, ...]


def stack_slices(series: Series, volume: int | None = None) -> Stack:
    """Return the slices of a series in their order; `volume` counts from 0 in a 4-D series.

    Slices of different sizes or orientations, missing or uneven slices and a gantry tilt are
    refused. A small unevenness and files that are there twice become warnings.
    """
    _check_one_size(series)
    frames, warnings = _without_copies(series)
    positions, orientation = _check_one_orientation(series, frames)
    normal = np.cross(orientation[:3], orientation[3:])
    frames, positions = _one_volume(series, frames, positions, positions @ normal, volume)
    if len(frames) < 2:
        raise UserError(
            f"{series.path} has {len(frames)} slice; a volume needs at least two: give the folder "
            "of the whole series",
            code="not-3d",
        )
    first = series.first
    shape = (first.columns, first.rows, len(frames))
    check_voxel_count(series.path, shape, math.prod(shape))
    distance = positions @ normal
    step = (distance[-1] - distance[0]) / (len(frames) - 1)
    warnings += _check_distances(series, distance, step)
    _check_sideways(series, positions, distance, normal)
    rows, columns = frames[0].spacing or (1.0, 1.0)
    direction = np.column_stack([orientation[:3], orientation[3:], normal])
    try:
        grid = grid_from_itk(shape, positions[0], np.array([columns, rows, step]), direction)
    except ValueError as error:
        raise UserError(f"{series.path}: {error}; correct its header", code="header") from error
    return Stack(series, tuple(frames), grid, tuple(warnings))


def volumes_in(series: Series) -> int:
    """Return how many slices a series has at its first position: the volumes of a 4-D series."""
    frames, _ = _without_copies(series)
    positions, orientation = _check_one_orientation(series, frames)
    distance = positions @ np.cross(orientation[:3], orientation[3:])
    return int((distance - distance.min() < SAME_POSITION_MM).sum())


def _check_one_size(series: Series) -> None:
    """Refuse a series whose files differ in the size or the type of their pixels."""
    kinds: dict[tuple[float, ...], int] = {}
    for file in series.files:
        spacing = {tuple(round(v, 4) for v in f.spacing or ()) for f in file.frames}
        for millimetres in spacing:
            kind = (file.columns, file.rows, *millimetres)
            kinds[kind] = kinds.get(kind, 0) + len(file.frames)
    if len(kinds) > 1:
        shown = "; ".join(f"{count} of {_size(kind)}" for kind, count in list(kinds.items())[:5])
        raise UserError(
            f"{series.path} has slices of {len(kinds)} sizes ({shown}); give the folder of one "
            "volume",
            code="mixed-sizes",
        )
    first = series.first
    if len({(f.stored[0], f.stored[2], f.photometric) for f in series.files}) > 1:
        raise UserError(f"{series.path} has slices of several pixel types; export it again")
    if first.samples != 1 or not first.photometric.startswith("MONOCHROME"):
        raise UserError(
            f"{series.path} has {first.samples} samples per pixel ({first.photometric}); only grey "
            "values are read: give a series of grey values",
            code="voxels-colour",
        )
    if first.stored[0] not in (8, 16, 32) or not 1 <= first.stored[1] <= first.stored[0]:
        raise UserError(
            f"{series.path} has pixels of {first.stored[0]} bits; allowed are 8, 16 and 32: give "
            "an image series"
        )


def _size(kind: tuple[float, ...]) -> str:
    columns, rows, *spacing = kind
    return f"{columns} x {rows} pixels" + (
        f" of {' x '.join(f'{value:g}' for value in spacing)} mm" if spacing else ""
    )


def _without_copies(series: Series) -> tuple[list[Frame], list[str]]:
    """Return the slices without those of files that are there twice, and a warning."""
    known: set[str] = set()
    frames: list[Frame] = []
    copies = 0
    for file in series.files:
        if file.sop_instance and file.sop_instance in known:
            copies += 1
            continue
        known.add(file.sop_instance)
        frames += file.frames
    if not copies:
        return frames, []
    return frames, [f"{copies} files are copies of others (same SOP Instance UID) and are ignored"]


def _check_one_orientation(
    series: Series, frames: Sequence[Frame]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions (n, 3) and the common orientation (6,) of the slices, LPS mm."""
    for frame in frames:
        missing = [
            name
            for name, value in (
                ("ImagePositionPatient", frame.position),
                ("ImageOrientationPatient", frame.orientation),
                ("PixelSpacing", frame.spacing),
            )
            if value is None
        ]
        if missing or min(frame.spacing or (0,)) <= 0:
            raise UserError(
                f"{frame.path} does not state the position of its pixels in space "
                f"({' and '.join(missing) or 'PixelSpacing'}); it is not a slice of a volume",
                code="header",
            )
    directions = np.array([frame.orientation for frame in frames])
    rounded: dict[tuple[float, ...], int] = {}
    for row in directions:
        near = next((k for k in rounded if np.abs(np.array(k) - row).max() < 1e-3), None)
        rounded[near or tuple(row)] = rounded.get(near or tuple(row), 0) + 1
        if len(rounded) > 10:
            break
    if len(rounded) > 1:
        shown = "; ".join(
            f"{count} slices along {', '.join(f'{v:.3g}' for v in key)}"
            for key, count in rounded.items()
        )
        raise UserError(
            f"{series.path} mixes slices of {len(rounded)} orientations ({shown}); it may contain "
            "localizers: give a folder with one orientation",
            code="mixed-orientations",
        )
    row, column = directions[0, :3], directions[0, 3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if np.abs(np.array(lengths) - 1).max() > 1e-3 or abs(row @ column) > 1e-3:
        raise UserError(
            f"{series.path} has the orientation {directions[0].tolist()}; rows and columns must "
            "be unit vectors at a right angle: correct its header",
            code="header",
        )
    row = row / lengths[0]
    column = column - row * (row @ column)
    return (
        np.array([frame.position for frame in frames]),
        np.concatenate([row, column / np.linalg.norm(column)]),
    )


def _one_volume(
    series: Series,
    frames: Sequence[Frame],
    positions: np.ndarray,
    distance: np.ndarray,
    volume: int | None,
) -> tuple[list[Frame], np.ndarray]:
    """Return the slices of one volume, sorted along the normal, and their positions."""
    order = np.argsort(distance, kind="stable")
    groups: list[list[int]] = []
    for k in order.tolist():
        if groups and distance[k] - distance[groups[-1][0]] < SAME_POSITION_MM:
            groups[-1].append(k)
        else:
            groups.append([k])
    counts = {len(group) for group in groups}
    if len(counts) > 1:
        crowded = next(group for group in groups if len(group) == max(counts))
        raise UserError(
            f"{series.path} has {len(frames)} slices at {len(groups)} positions, from "
            f"{min(counts)} to {max(counts)} per position (most at "
            f"{distance[crowded[0]]:.2f} mm along the normal); give a folder with one "
            "slice per position",
            code="repeated-slices",
        )
    number = counts.pop()
    if number > 1 and volume is None:
        raise UserError(
            f"{series.path} has {number} volumes of {len(groups)} slices; choose one with --volume "
            f"0 to {number - 1}",
            code="several-volumes",
        )
    wanted = 0 if number == 1 else int(volume or 0)
    if not 0 <= wanted < number:
        raise UserError(
            f"{series.path} has {number} volumes, so --volume {volume} does not exist; use 0 to "
            f"{number - 1}"
        )
    chosen = [sorted(group, key=lambda k: (frames[k].order, k))[wanted] for group in groups]
    return [frames[k] for k in chosen], positions[chosen]


def _check_distances(series: Series, distance: np.ndarray, step: float) -> list[str]:
    """Refuse missing or uneven slices; return a warning for a small unevenness."""
    gaps = np.diff(distance)
    usual = float(np.median(gaps))
    wide = np.nonzero(gaps > 1.5 * usual)[0]
    if len(wide):
        count = int((np.round(gaps[wide] / usual) - 1).clip(1).sum())
        where = ", ".join(
            f"{gaps[k]:.2f} mm between {distance[k]:.2f} and {distance[k + 1]:.2f} mm"
            for k in wide[:3].tolist()
        )
        raise UserError(
            f"{series.path} lacks about {count} slices: slices are {usual:.2f} mm apart, but there "
            f"are gaps ({where}{', ...' if len(wide) > 3 else ''}, along the normal); export the "
            "series again, or give a folder without gaps",
            code="missing-slices",
        )
    even = distance[0] + step * np.arange(len(distance))
    error = float(np.abs(distance - even).max())
    shown = f"distances between slices vary from {gaps.min():.3f} to {gaps.max():.3f} mm"
    if error > UNEVEN * step:
        raise UserError(
            f"{series.path}: {shown}; a volume needs even distances (an error of {error:.3f} mm, "
            f"allowed is {UNEVEN * step:.3f} mm): resample it, for example with dcm2niix",
            code="uneven-slices",
        )
    if error > max(NOTED_UNEVEN * step, SAME_POSITION_MM):
        return [f"{shown}; {step:.3f} mm is used, which misplaces slices by up to {error:.3f} mm"]
    return []


def _check_sideways(
    series: Series, positions: np.ndarray, distance: np.ndarray, normal: np.ndarray
) -> None:
    """Refuse slices that are shifted sideways, as with a tilted gantry."""
    along = np.outer(distance - distance[0], normal)
    sideways = np.linalg.norm(positions - positions[0] - along, axis=1)
    if sideways.max() <= SIDEWAYS_MM:
        return
    angle = math.degrees(math.atan2(sideways[-1], distance[-1] - distance[0]))
    raise UserError(
        f"{series.path} has a gantry tilt of {angle:.1f} degrees: its slices are shifted sideways "
        f"by up to {sideways.max():.2f} mm, so its voxels are not right-angled; resample it, for "
        "example with dcm2niix, and give the corrected .nii.gz",
        code="gantry-tilt",
    )
