"""The voxels of an image, a label map or a mask: their facts as plain values, and problems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from zoo.datasets.modality import IntensityStatistics
from zoo.datasets.problems import Problem, problem_from_error, warning
from zoo.errors import UserError
from zoo.io.labels import read_labels
from zoo.io.volume import Volume, read_volume

VolumeKind = Literal["image", "labels", "mask"]

SATURATED = 0.005
"""Fraction of voxels at the limit of the data type above which an image counts as clipped."""


@dataclass(frozen=True)
class VoxelFacts:
    """Facts about the voxels of a file, and its problems.

    Images have `values` and `background`, the fraction of voxels with the most common value. Label
    maps and masks have `labels`, the number of voxels of each id.
    """

    name: str
    kind: VolumeKind
    values: IntensityStatistics | None = None
    background: float = 0.0
    labels: dict[int, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def inspect_voxels(
    root: str,
    name: str,
    kind: VolumeKind,
    *,
    read: Callable[[Path], Volume] = read_volume,
) -> VoxelFacts:
    """Read the file `root / name` and return the facts about its voxels.

    `read` reads an image; label maps and masks are always read anew. A file that cannot be read
    gives a problem, not an error.
    """
    path = Path(root) / name
    try:
        return _image(read(path), name) if kind == "image" else _labels(path, name, kind)
    except (UserError, OSError, ValueError, MemoryError) as error:
        return VoxelFacts(name, kind, problems=(problem_from_error(error, name, str(path)),))


def _image(image: Volume, name: str) -> VoxelFacts:
    data = image.data.numpy()
    values = IntensityStatistics.of(data)
    if values.minimum == values.maximum:
        what = f"all voxels have the value {values.minimum:g}"
        problem = Problem("constant", name, what, "replace the image, which shows nothing")
        return VoxelFacts(name, "image", values, 1.0, problems=(problem,))
    flat = data.reshape(-1)
    sample = flat[:: max(1, len(flat) // 200_000) | 1]
    _, counts = np.unique(sample, return_counts=True)
    background = float(counts.max() / len(sample))
    return VoxelFacts(name, "image", values, background, {}, tuple(_saturation(name, data)))


def _saturation(name: str, data: np.ndarray) -> list[Problem]:
    """Return a warning if many voxels have the largest or a negative smallest value of the type."""
    if data.dtype.kind not in "iu":
        return []
    limits = np.iinfo(data.dtype)
    out = []
    for limit in (limits.max, limits.min):
        share = float((data == limit).mean()) if limit else 0.0
        if share > SATURATED:
            what = (
                f"{100 * share:.1f} % of the voxels have the value {limit}, the limit of "
                f"{data.dtype}"
            )
            fix = "convert it again from the source to a wider data type"
            out.append(warning("saturated", name, what, fix))
    return out


def _labels(path: Path, name: str, kind: VolumeKind) -> VoxelFacts:
    data = read_labels(path).data.numpy()
    ids, counts = np.unique(data, return_counts=True)
    labels = dict(zip(ids.tolist(), counts.tolist(), strict=True))
    thing = "the mask" if kind == "mask" else "the label map"
    problems = []
    if set(labels) == {0}:
        fix = "replace the file, or remove it from the dataset"
        problems.append(Problem(f"{kind}-empty", name, f"{thing} is 0 everywhere", fix))
    elif len(labels) == 1:
        what = f"{thing} is {ids[0]} everywhere"
        fix = "replace the file, which has no background"
        problems.append(Problem(f"{kind}-full", name, what, fix))
    if min(labels) < 0:
        what = f"{thing} contains the value {min(labels)}"
        problems.append(Problem(f"{kind}-negative", name, what, "number the labels from 0 upwards"))
    return VoxelFacts(name, kind, labels=labels, problems=tuple(problems))
