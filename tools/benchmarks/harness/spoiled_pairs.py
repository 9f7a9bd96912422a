"""Good and spoiled synthetic pairs, for the calibration of the verdict on a registration.

A spoiled pair is a good one with one fault: of the header, of the content, or of the pairing. No
pair has labels; the phantoms have landmarks, by which a registration that succeeded in spite of a
fault is recognised.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.datasets.pairs import Pair
from zoo.geometry import Grid
from zoo.io.volume import Volume
from zoo.synthesis.phantom import make_pair
from zoo.synthesis.subjects import draw_pair

CUBE: dict[str, Any] = {"shape": (48, 48, 48), "spacing": (2.5, 2.5, 2.5)}

PHANTOMS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("T1 and T1", CUBE | {"contrasts": ("t1", "t1")}),
    ("T1 and T2", CUBE | {"contrasts": ("t1", "t2")}),
    ("CT and T1", CUBE | {"contrasts": ("ct", "t1")}),
    ("tilted CT", CUBE | {"contrasts": ("ct", "ct"), "tilt_degrees": 15, "axes": "LPS"}),
    ("thick slices", {"shape": (60, 54, 24), "spacing": (2, 2.2, 5), "contrasts": ("pd", "t2")}),
    (
        "other axes",
        CUBE | {"moving_axes": "SLA", "moving_spacing": (2, 3, 2.5), "moving_shape": (60, 40, 48)},
    ),
)
"""The settings of the good phantoms, by name."""

SUBJECTS = ("brain", "abdomen", "chest", "head")
"""The regions of the good synthetic subjects."""


@dataclass(frozen=True)
class Case:
    """A pair to register: its name, the kind of pair, and whether it was spoiled on purpose."""

    name: str
    kind: str
    spoiled: bool
    make: Callable[[], Pair]


def cases(seeds: int) -> Iterator[Case]:
    """Yield the good pairs of every kind for each seed, then the spoiled ones."""
    for seed in range(seeds):
        for kind, settings in PHANTOMS:
            yield Case(f"{kind}, {seed}", kind, False, _phantom_maker(seed, settings))
            moved = _changed_moving(_phantom_maker(1000 + seed, settings), _move, seed)
            yield Case(f"{kind}, moved, {seed}", f"{kind}, moved", False, moved)
        for region in SUBJECTS:
            kind = f"synthetic {region}"
            yield Case(f"{kind}, {seed}", kind, False, _subject_maker(seed, region, region))
    for seed in range(seeds):
        for kind, change in FAULTS.items():
            settings = PHANTOMS[seed % len(PHANTOMS)][1]
            spoiled = _changed_moving(_phantom_maker(2000 + seed, settings), change, seed)
            yield Case(f"{kind}, {seed}", kind, True, spoiled)
        settings = PHANTOMS[seed % len(PHANTOMS)][1]
        another = partial(_another_patient, seed, settings)
        yield Case(f"another patient, {seed}", "another patient", True, another)
        other = "brain against abdomen"
        yield Case(f"{other}, {seed}", other, True, _subject_maker(seed, "brain", "abdomen"))


def _phantom_maker(seed: int, settings: Mapping[str, Any]) -> Callable[[], Pair]:
    def make() -> Pair:
        phantom = make_pair(seed, **settings)
        fixed = Volume(phantom.fixed, phantom.fixed_grid, Path("fixed.nii.gz"))
        moving = Volume(phantom.moving, phantom.moving_grid, Path("moving.nii.gz"))
        return Pair(
            name="phantom",
            fixed=fixed,
            moving=(moving,),
            fixed_points=phantom.fixed_points,
            moving_points=phantom.moving_points,
        )

    return make


def _subject_maker(seed: int, fixed: str, moving: str) -> Callable[[], Pair]:
    """Return a maker of one subject's images, or of those of two subjects of different regions."""

    def make() -> Pair:
        grid = Grid((52, 52, 52), torch.diag(torch.tensor([2.5, 2.5, 2.5, 1]).double()))
        one = draw_pair(seed, grid.shape, region=fixed)
        other = one if fixed == moving else draw_pair(5000 + seed, grid.shape, region=moving)
        images = (one.fixed[0], other.moving[0])
        first, second = (Volume(image, grid, Path("image.nii.gz")) for image in images)
        return Pair(name="subject", fixed=first, moving=(second,))

    return make


def _another_patient(seed: int, settings: Mapping[str, Any]) -> Pair:
    """Return a fixed image with the moving image of another phantom, which has other organs."""
    pair = _phantom_maker(3000 + seed, settings)()
    other = _phantom_maker(4000 + seed, settings)()
    return replace(pair, moving=other.moving, fixed_points=None, moving_points=None)


def _changed_moving(
    make: Callable[[], Pair], change: Callable[[Volume, int], tuple[Volume, Tensor]], seed: int
) -> Callable[[], Pair]:
    """Return a maker of the same pair with a changed moving image and its landmarks."""

    def changed() -> Pair:
        pair = make()
        volume, motion = change(pair.moving[0], seed)
        assert pair.moving_points is not None
        points = pair.moving_points @ motion[:3, :3].T + motion[:3, 3]
        return replace(pair, moving=(volume,), moving_points=points)

    return changed


def _with_motion(
    volume: Volume, linear: Tensor, shift: Tensor | None = None
) -> tuple[Volume, Tensor]:
    """Return a volume whose header is moved by a linear map about its centre, and the 4x4 map."""
    motion = torch.eye(4, dtype=torch.float64)
    motion[:3, :3] = linear
    centre = volume.grid.centre
    motion[:3, 3] = centre - linear @ centre + (0 if shift is None else shift)
    return replace(volume, grid=Grid(volume.grid.shape, motion @ volume.grid.affine)), motion


def _rotation(axis: int, degrees: float) -> Tensor:
    """Return the 3x3 rotation about a world axis."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    out = torch.eye(3, dtype=torch.float64)
    i, j = [k for k in range(3) if k != axis]
    out[i, i], out[i, j], out[j, i], out[j, j] = c, -s, s, c
    return out


def _move(volume: Volume, seed: int) -> tuple[Volume, Tensor]:
    """Move a header by up to 12 mm and 12 degrees, as between two sessions."""
    random = torch.Generator().manual_seed(seed)
    shift = 24 * torch.rand(3, generator=random, dtype=torch.float64) - 12
    degrees = float(24 * torch.rand(1, generator=random) - 12)
    return _with_motion(volume, _rotation(seed % 3, degrees), shift)


def _turn(degrees: float) -> Callable[[Volume, int], tuple[Volume, Tensor]]:
    return lambda volume, seed: _with_motion(volume, _rotation(seed % 3, degrees))


def _mirror(volume: Volume, seed: int) -> tuple[Volume, Tensor]:
    linear = torch.eye(3, dtype=torch.float64)
    linear[seed % 3, seed % 3] = -1
    return _with_motion(volume, linear)


def _scale(factor: float) -> Callable[[Volume, int], tuple[Volume, Tensor]]:
    return lambda volume, _: _with_motion(volume, factor * torch.eye(3, dtype=torch.float64))


def _noise(volume: Volume, seed: int) -> tuple[Volume, Tensor]:
    random = torch.Generator().manual_seed(seed)
    data = 100 * torch.randn(volume.grid.shape, generator=random)
    return replace(volume, data=data), torch.eye(4, dtype=torch.float64)


def _half_black(volume: Volume, seed: int) -> tuple[Volume, Tensor]:
    data = volume.data.clone()
    axis = seed % 3
    data.narrow(axis, 0, data.shape[axis] // 2).fill_(float(data.min()))
    return replace(volume, data=data), torch.eye(4, dtype=torch.float64)


def _crop(volume: Volume, seed: int) -> tuple[Volume, Tensor]:
    """Keep two fifths of a volume along one axis."""
    axis = seed % 3
    count = 2 * volume.grid.shape[axis] // 5
    start = volume.grid.shape[axis] // 4
    data = volume.data.narrow(axis, start, count).contiguous()
    affine = volume.grid.affine.clone()
    affine[:3, 3] += start * affine[:3, axis]
    shape = (data.shape[0], data.shape[1], data.shape[2])
    return replace(volume, data=data, grid=Grid(shape, affine)), torch.eye(4, dtype=torch.float64)


FAULTS: Mapping[str, Callable[[Volume, int], tuple[Volume, Tensor]]] = {
    "header turned by 90 degrees": _turn(90),
    "header turned by 180 degrees": _turn(180),
    "mirrored header": _mirror,
    "units x10": _scale(10),
    "units x0.1": _scale(0.1),
    "scale x3": _scale(3),
    "noise": _noise,
    "half black": _half_black,
    "two fifths of the field of view": _crop,
}
"""The faults of a moving image, by name."""
