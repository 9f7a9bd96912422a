"""Image pairs: their files, and the volumes loaded from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from zoo.datasets.names import stem
from zoo.datasets.reading import read_dataset
from zoo.datasets.scan import check_content
from zoo.errors import UserError
from zoo.io.labels import read_labels
from zoo.io.points import Space, read_points
from zoo.io.volume import Volume, read_volume


@dataclass(frozen=True)
class PairFiles:
    """The files of one pair.

    Several moving images are modalities of one patient that share one space; the annotations belong
    to the first. `points_space` is the coordinate space of both files of points.
    """

    fixed: Path
    moving: tuple[Path, ...]
    fixed_labels: Path | None = None
    moving_labels: Path | None = None
    fixed_mask: Path | None = None
    moving_mask: Path | None = None
    fixed_points: Path | None = None
    moving_points: Path | None = None
    points_space: Space = "ras"

    @property
    def name(self) -> str:
        """The names of the fixed and of the first moving image, joined by an underscore."""
        return f"{stem(self.fixed)}_{stem(self.moving[0])}"


@dataclass(frozen=True)
class Pair:
    """A pair in memory. Points are (n, 3) in RAS+ mm, one landmark per row in both tensors."""

    name: str
    fixed: Volume
    moving: tuple[Volume, ...]
    fixed_labels: Volume | None = None
    moving_labels: Volume | None = None
    fixed_mask: Volume | None = None
    moving_mask: Volume | None = None
    fixed_points: Tensor | None = None
    moving_points: Tensor | None = None
    files: PairFiles | None = field(default=None, compare=False)


def load_pair(files: PairFiles, *, read: Callable[[Path], Volume] = read_volume) -> Pair:
    """Read a pair's files; `read` reads its images.

    Annotations on another grid than their image, and lists of points of different lengths, are a
    `UserError`.
    """
    fixed = read(files.fixed)
    moving = tuple(read(path) for path in files.moving)
    pair = Pair(
        name=files.name,
        fixed=fixed,
        moving=moving,
        fixed_labels=_read_annotation(files.fixed_labels, fixed),
        moving_labels=_read_annotation(files.moving_labels, moving[0]),
        fixed_mask=_read_annotation(files.fixed_mask, fixed),
        moving_mask=_read_annotation(files.moving_mask, moving[0]),
        fixed_points=_read_points(files.fixed_points, files.points_space, fixed),
        moving_points=_read_points(files.moving_points, files.points_space, moving[0]),
        files=files,
    )
    if (
        pair.fixed_points is not None
        and pair.moving_points is not None
        and len(pair.fixed_points) != len(pair.moving_points)
    ):
        raise UserError(
            f"{files.fixed_points} has {len(pair.fixed_points)} points and {files.moving_points} "
            f"has {len(pair.moving_points)}; both must list corresponding landmarks in the same row"
        )
    return pair


def _read_annotation(path: Path | None, image: Volume) -> Volume | None:
    """Read a label map or a mask, which must have the grid of its image."""
    if path is None:
        return None
    labels = read_labels(path)
    if not labels.grid.same_as(image.grid, tolerance=0.1):
        raise UserError(
            f"{path} ({labels.grid.describe()}) does not have the grid of {image.path} "
            f"({image.grid.describe()}); resample it, or give the image on which it was drawn"
        )
    return labels


def _read_points(path: Path | None, space: Space, image: Volume) -> Tensor | None:
    """Read landmarks; refuse those of which none lies in the image, as in a wrong space."""
    if path is None:
        return None
    points = read_points(path, space=space, grid=image.grid)
    index = image.grid.to_index(points)
    within = (index >= -1) & (index <= torch.tensor(image.grid.shape))
    if len(points) and not within.all(dim=1).any():
        x, y, z = points[0].tolist()
        raise UserError(
            f"none of the {len(points)} points of {path} lies in {image.path} (the first is at "
            f"{x:.4g}, {y:.4g}, {z:.4g} mm, RAS); check the file and its space, --points-space "
            "ras, lps or voxel"
        )
    return points


class PairDataset(Dataset[Pair]):
    """A torch dataset that loads one pair at a time.

    `data` contains `PairFiles`, or mappings with their fields. Pairs whose files have equal names,
    in several folders, get distinct names.
    """

    def __init__(self, data: Sequence[PairFiles | Mapping[str, Any]]) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    @cached_property
    def names(self) -> list[str]:
        """The names of the pairs, which are unique."""
        return unique_pair_names([_as_files(item) for item in self.data])

    def __getitem__(self, index: int) -> Pair:
        return replace(load_pair(_as_files(self.data[index])), name=self.names[index])


def _as_files(item: PairFiles | Mapping[str, Any]) -> PairFiles:
    return item if isinstance(item, PairFiles) else pair_files(**item)


def pair_files(fixed: Any = None, moving: Any = None, **more: Any) -> PairFiles:
    """Return `PairFiles` from the values of a config or a command line.

    Paths may be texts or numbers; None and "" count as not given. Several moving images are a list,
    or one text with commas.
    """
    if fixed in (None, "") or moving in (None, ""):
        missing = "fixed" if fixed in (None, "") else "moving"
        raise UserError(f"no {missing} image was given; add --{missing} FILE")
    images = moving.split(",") if isinstance(moving, str) and not Path(moving).exists() else moving
    images = images if isinstance(images, (list, tuple)) else [images]
    space: Space = more.pop("points_space", None) or "ras"
    others = {k: Path(str(v)) for k, v in more.items() if v not in (None, "")}
    return PairFiles(
        Path(str(fixed)), tuple(Path(str(p).strip()) for p in images), **others, points_space=space
    )


def unique_pair_names(files: Sequence[PairFiles]) -> list[str]:
    """Return a unique name for each pair, for use as the name of its result folder.

    Pairs with equal names, from several folders of a dataset, are numbered from the second one on.
    """
    out: dict[str, None] = {}
    for pair in files:
        count = 1
        while (name := pair.name if count == 1 else f"{pair.name}-{count}") in out:
            count += 1
        out[name] = None
    return list(out)


class DatasetPairs(Sequence[Mapping[str, Any]]):
    """The pairs of a dataset's split (train, val, test or all), read on first access.

    `folder` contains a dataset.json or a pairs.csv. `content` is the digest of the files for which
    a plan was made; if they have changed since, accessing the pairs is an error.

    The length of an unreadable dataset is 1, because MONAI also builds a workflow to inspect it,
    without data. Accessing its pair raises the error.
    """

    def __init__(self, folder: str | Path, split: str = "val", content: str | None = None) -> None:
        self.folder = folder
        self.split = split
        self.content = content

    @cached_property
    def pairs(self) -> list[dict[str, Any]]:
        """The pairs, as arguments of `pair_files`."""
        if self.content is not None:
            check_content(self.folder, self.content)
        return read_dataset(self.folder).pairs(self.split)

    def __len__(self) -> int:
        try:
            return len(self.pairs)
        except UserError:
            return 1

    def __getitem__(self, index: Any) -> Any:
        return self.pairs[index]


def only_item(batch: Sequence[Pair]) -> Pair:
    """Return the only pair of a batch. Pairs differ in shape, so batches have one pair each."""
    (pair,) = batch
    return pair
