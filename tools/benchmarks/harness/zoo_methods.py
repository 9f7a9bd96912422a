"""Methods of this zoo, as functions of a pair.

Each returns the displacement that it found: float32 [X, Y, Z, 3] in RAS+ mm on the fixed grid,
from fixed points to moving points.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

import zoo
from benchmarks.harness.pairs import BenchPair, same_grid
from zoo.datasets.pairs import Pair
from zoo.geometry import Transform
from zoo.io.volume import Volume, read_volume
from zoo.registration.working_grid import IsotropicFrame, NativeFrame
from zoo.registration.working_pair import Image
from zoo.solvers.affine import align_affine
from zoo.solvers.mcbo import MCBO
from zoo.solvers.settings import Mode


@dataclass(frozen=True)
class Judged:
    """A displacement [X, Y, Z, 3] in RAS+ mm, the verdict on it and the model that found it."""

    field: np.ndarray
    verdict: str
    model: str


Kind = Literal["auto", "com", "rigid", "affine", "none"]
"""Kinds of initial affine alignment."""


def mcbo(
    pair: BenchPair,
    mode: Mode,
    kind: Kind | None = None,
    changes: Mapping[str, Any] | None = None,
) -> np.ndarray:
    """Run MCBO on the working grid of its bundle, by default from the shared initial alignment."""
    fixed, moving = read_images(pair)
    start = initial_matrix(fixed, moving, kind or shared_start(pair))
    frame = NativeFrame() if mode == "convexadam" else IsotropicFrame()
    images = [Image(volume.data.float(), volume.grid) for volume in (fixed, moving)]
    work = frame(images[0], images[1:], Pair(pair.name, fixed, (moving,)), start)
    return dense_field(work.transform(MCBO(mode, changes=changes)(work.image)), fixed)


def model(
    pair: BenchPair, name: str, weights: str | None = "compact", **settings: object
) -> Judged:
    """Run `zoo.register` with one model, and with an initial affine alignment if grids differ."""
    return register(
        pair,
        model=name,
        weights=weights,
        modality=pair.modality,
        anatomy=pair.anatomy,
        pairing=pair.pairing,
        settings={"affine": "none" if same_grid(pair) else "affine", **settings},
    )


def register(pair: BenchPair, **options: Any) -> Judged:
    """Run `zoo.register`; without options this is what `regzoo register` does by default."""
    with tempfile.TemporaryDirectory() as folder:
        registration = zoo.register(
            pair.fixed, pair.moving, out=folder, threads=torch.get_num_threads(), **options
        )
        field = dense_field(registration.transform, read_volume(pair.fixed))
        return Judged(field, registration.quality, registration.result["model"])


def affine(pair: BenchPair, kind: Kind) -> np.ndarray:
    """Run the initial affine alignment alone."""
    fixed, moving = read_images(pair)
    return dense_field(Transform(initial_matrix(fixed, moving, kind)), fixed)


def shared_start(pair: BenchPair) -> Kind:
    """Return the kind of initial alignment for the methods that have none of their own.

    It is none if both images have the same grid, and otherwise the centre of mass.
    """
    return "none" if same_grid(pair) else "com"


def read_images(pair: BenchPair) -> tuple[Volume, Volume]:
    """Return the fixed and the moving volume."""
    return read_volume(pair.fixed), read_volume(pair.moving)


def initial_matrix(fixed: Volume, moving: Volume, kind: Kind) -> Tensor:
    """Return the matrix [4, 4] of the initial alignment, from fixed to moving points in mm."""
    images = fixed.data.float(), fixed.grid, moving.data.float(), moving.grid
    return align_affine(*images, kind).matrix


def dense_field(transform: Transform, fixed: Volume) -> np.ndarray:
    """Return the displacement of a transform on the fixed grid, affine part included."""
    field = transform.dense_on(fixed.grid).field
    assert field is not None
    return field.permute(1, 2, 3, 0).contiguous().numpy()
