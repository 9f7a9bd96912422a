"""The voxels of one image, label map or mask of a dataset: facts in plain values, and problems."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from zoo.datasets.modality import Values
from zoo.datasets.problems import Problem, problem_from_error, warning
from zoo.errors import UserError
from zoo.io.labels import read_labels
from zoo.io.volume import read_volume

Kind = Literal["image", "labels", "mask"]
SATURATED = 0.005
"""Share of voxels at the type's limit from which an image counts as cut off."""


@dataclass(frozen=True)
class Voxels:
    """What the voxels of a file show; `values` of images, `labels` (id: voxels) of the others.

    `background` is the share of the most common value. Problems are values: a file that cannot be
    read never stops the others.
    """

    name: str
    kind: Kind
    values: Values | None = None
    background: float = 0.0
    labels: dict[int, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def decode(root: str, name: str, kind: Kind) -> Voxels:
    """Read one file whole and look at it."""
    path = Path(root) / name
    try:
        return _image(path, name) if kind == "image" else _labels(path, name, kind)
    except (UserError, OSError, ValueError, MemoryError) as error:
        return Voxels(name, kind, problems=(problem_from_error(error, name, str(path)),))


def _image(path: Path, name: str) -> Voxels:
    data = read_volume(path).data.numpy()
    values = Values.of(data)
    if values.minimum == values.maximum:
        what = f"every voxel is {values.minimum:g}"
        problem = Problem("constant", name, what, "give the right image: this one is empty")
        return Voxels(name, "image", values, 1.0, problems=(problem,))
    flat = data.reshape(-1)
    some = flat[:: max(1, len(flat) // 200_000) | 1]
    _, counts = np.unique(some, return_counts=True)
    problem_list = _saturation(name, data)
    return Voxels(name, "image", values, float(counts.max() / len(some)), {}, tuple(problem_list))


def _saturation(name: str, data: np.ndarray) -> list[Problem]:
    """Find voxels piled up at the largest or, if it is negative, smallest value of the type."""
    if data.dtype.kind not in "iu":
        return []
    limits = np.iinfo(data.dtype)
    out = []
    for limit in (limits.max, limits.min):
        share = float((data == limit).mean()) if limit else 0.0
        if share > SATURATED:
            what = f"{100 * share:.1f} % of the voxels are at {limit}, the limit of {data.dtype}"
            fix = "convert it again from the source, to a wider type"
            out.append(warning("saturated", name, what, fix))
    return out


def _labels(path: Path, name: str, kind: Kind) -> Voxels:
    data = read_labels(path).data.numpy()
    ids, counts = np.unique(data, return_counts=True)
    found = Counter(dict(zip(ids.tolist(), counts.tolist(), strict=True)))
    thing = "the mask" if kind == "mask" else "the label map"
    problems = []
    if set(found) == {0}:
        fix = "give the right file, or take it out of the dataset"
        problems.append(Problem(f"{kind}-empty", name, f"{thing} is 0 everywhere", fix))
    elif len(found) == 1:
        what = f"{thing} is {ids[0]} everywhere"
        fix = "give the right file: one that covers all says nothing"
        problems.append(Problem(f"{kind}-full", name, what, fix))
    if min(found) < 0:
        what = f"{thing} holds {min(found)}"
        problems.append(Problem(f"{kind}-negative", name, what, "number labels from 0 up"))
    return Voxels(name, kind, labels=dict(found), problems=tuple(problems))
