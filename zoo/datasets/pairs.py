"""Pairs of images: named as files, loaded as volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from zoo.datasets.reading import read_dataset
from zoo.datasets.scan import check_content
from zoo.errors import UserError
from zoo.io.labels import read_labels
from zoo.io.points import Space, read_points
from zoo.io.volume import Volume, read_volume


@dataclass(frozen=True)
class PairFiles:
    """The files of one pair. Several moving images are modalities of one patient, in one space."""

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
        """The pair's name: that of the fixed and of the first moving image."""
        return f"{stem(self.fixed)}_{stem(self.moving[0])}"


@dataclass(frozen=True)
class Pair:
    """A pair in memory. Points are (n, 3) RAS+ mm, one place of the anatomy a row."""

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


def stem(path: Path) -> str:
    """Return a file's name without its folder and its suffixes."""
    name = path.name
    for suffix in (".gz", ".nii", ".mha", ".mhd", ".nrrd"):
        name = name.removesuffix(suffix)
    return name


def load_pair(files: PairFiles) -> Pair:
    """Read a pair's files; what does not belong together is refused."""
    fixed = read_volume(files.fixed)
    moving = tuple(read_volume(path) for path in files.moving)
    pair = Pair(
        name=files.name,
        fixed=fixed,
        moving=moving,
        fixed_labels=_beside(files.fixed_labels, fixed),
        moving_labels=_beside(files.moving_labels, moving[0]),
        fixed_mask=_beside(files.fixed_mask, fixed),
        moving_mask=_beside(files.moving_mask, moving[0]),
        fixed_points=_points(files.fixed_points, files.points_space, fixed),
        moving_points=_points(files.moving_points, files.points_space, moving[0]),
        files=files,
    )
    if (
        pair.fixed_points is not None
        and pair.moving_points is not None
        and len(pair.fixed_points) != len(pair.moving_points)
    ):
        raise UserError(
            f"{files.fixed_points} has {len(pair.fixed_points)} points and {files.moving_points} "
            f"has {len(pair.moving_points)}; row n of both must be one place of the anatomy"
        )
    return pair


def _beside(path: Path | None, image: Volume) -> Volume | None:
    """Read labels or a mask, which must lie on their image's grid."""
    if path is None:
        return None
    labels = read_labels(path)
    if not labels.grid.same_as(image.grid, tolerance=0.1):
        raise UserError(
            f"{path} ({labels.grid.describe()}) does not lie on the grid of {image.path} "
            f"({image.grid.describe()}); resample it, or give the image it was made on"
        )
    return labels


def _points(path: Path | None, space: Space, image: Volume) -> Tensor | None:
    return None if path is None else read_points(path, space=space, grid=image.grid)


class PairDataset(Dataset[Pair]):
    """Pairs loaded one at a time. `data` holds `PairFiles`, or mappings with its fields.

    Pairs that are called alike, of several folders, get names that tell them apart.
    """

    def __init__(self, data: Sequence[PairFiles | Mapping[str, Any]]) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    @cached_property
    def names(self) -> list[str]:
        """The pairs' names, all different."""
        return folder_names([_as_files(item) for item in self.data])

    def __getitem__(self, index: int) -> Pair:
        return replace(load_pair(_as_files(self.data[index])), name=self.names[index])


def _as_files(item: PairFiles | Mapping[str, Any]) -> PairFiles:
    return item if isinstance(item, PairFiles) else pair_files(**item)


def pair_files(fixed: Any = None, moving: Any = None, **more: Any) -> PairFiles:
    """Make `PairFiles` of what a config or a command line gives: texts, numbers, lists, None.

    Several moving images are a list, or one text with commas.
    """
    if fixed in (None, "") or moving in (None, ""):
        missing = "fixed" if fixed in (None, "") else "moving"
        raise UserError(f"no {missing} image was given; add --{missing} FILE")
    several = moving.split(",") if isinstance(moving, str) and not Path(moving).exists() else moving
    several = several if isinstance(several, (list, tuple)) else [several]
    space: Space = more.pop("points_space", None) or "ras"
    others = {k: Path(str(v)) for k, v in more.items() if v not in (None, "")}
    return PairFiles(
        Path(str(fixed)), tuple(Path(str(p).strip()) for p in several), **others, points_space=space
    )


def folder_names(files: Sequence[PairFiles]) -> list[str]:
    """Return pairs' names, all different: of those alike, from the second one on, with a number.

    Such pairs lie in several folders of a dataset.
    """
    out: dict[str, None] = {}
    for pair in files:
        count = 1
        while (name := pair.name if count == 1 else f"{pair.name}-{count}") in out:
            count += 1
        out[name] = None
    return list(out)


class DatasetPairs(Sequence[Mapping[str, Any]]):
    """The pairs of a dataset's split (train, val, test or all), read when they are asked for.

    `folder` holds a dataset.json or a pairs.csv; `content` is the digest of the files that a plan
    was made for: if they have changed since, nothing is run. MONAI builds a workflow to look at it,
    without any data: a dataset that cannot be read counts as one pair, and asking for that pair
    says what is wrong.
    """

    def __init__(self, folder: str | Path, split: str = "val", content: str | None = None) -> None:
        self.folder = folder
        self.split = split
        self.content = content

    @cached_property
    def pairs(self) -> list[dict[str, Any]]:
        """The pairs, as `pair_files` takes them."""
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
    """Unwrap a batch of one: pairs differ in shape and are never stacked."""
    (pair,) = batch
    return pair
