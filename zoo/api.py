"""The zoo from Python: `zoo.register`, which does what `regzoo register` does.

Whatever an image comes as, it is written as a file and takes the one path of all registrations:
plan, bundle, transform, result.
"""

from __future__ import annotations

import json
import shutil
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any, Literal

from torch import Tensor

from zoo.errors import UserError
from zoo.geometry import Transform
from zoo.geometry import warp as warp_image
from zoo.io.images import as_volume
from zoo.io.transforms import read_transform
from zoo.io.volume import Volume, read_volume, write_volume
from zoo.pipelines.register import Request, register_files


@dataclass(frozen=True)
class Registration:
    """A pair that was registered, and the folder of its results.

    Without `out` the folder is a temporary one that lasts as long as this object: `save` keeps it.
    """

    folder: Path

    @cached_property
    def result(self) -> dict[str, Any]:
        """What result.json says: model, weights, settings, seconds, figures, versions."""
        return self._read("result.json")

    @cached_property
    def plan(self) -> dict[str, Any]:
        """The plan: each setting, and why it was chosen."""
        return self._read("plan.json")

    @property
    def figures(self) -> dict[str, Any]:
        """The figures of the result, such as folding_percent or dice_mean."""
        found: dict[str, Any] = self.result["figures"]
        return found

    @cached_property
    def transform(self) -> Transform:
        """The map from the fixed to the moving image, RAS+ mm."""
        return read_transform(self.folder / "transform.nii.gz")

    @cached_property
    def inverse(self) -> Transform:
        """The map from the moving to the fixed image, RAS+ mm; it must have been asked for."""
        path = self.folder / "inverse.nii.gz"
        if not path.exists():
            raise UserError("no inverse was made; register with inverse=True")
        return read_transform(path)

    @cached_property
    def warped(self) -> Volume:
        """The moving image on the fixed grid, in its own intensities."""
        return read_volume(self.folder / "warped.nii.gz")

    def warp(self, image: Any, *, labels: bool = False) -> Volume:
        """Bring another image, or labels, from the moving image's space onto the fixed grid."""
        volume = _volume(image, "image")
        grid = self.warped.grid
        data = warp_image(
            volume.data[None],
            volume.grid,
            grid,
            self.transform,
            interpolation="nearest" if labels else "linear",
            fill=0 if labels else min(0.0, float(volume.data.min())),
        )
        return Volume(data[0], grid, volume.path)

    def map_points(self, points: Tensor) -> Tensor:
        """Map points (n, 3) of the fixed image to the moving image, RAS+ mm, float64."""
        return self.transform.map_points(points)

    def save(self, folder: str | PathLike[str]) -> Path:
        """Copy everything that was written to another folder, which is made if missing."""
        target = Path(folder)
        shutil.copytree(self.folder, target, dirs_exist_ok=True)
        return target

    def _read(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / name).read_text(encoding="utf-8"))
        return found


def register(
    fixed: Any,
    moving: Any,
    *,
    out: str | PathLike[str] | None = None,
    model: str = "auto",
    weights: str | PathLike[str] | None = None,
    modality: Sequence[str] | None = None,
    anatomy: str | None = None,
    pairing: Literal["inter", "intra"] | None = None,
    fixed_labels: Any = None,
    moving_labels: Any = None,
    fixed_mask: Any = None,
    moving_mask: Any = None,
    fixed_points: str | PathLike[str] | None = None,
    moving_points: str | PathLike[str] | None = None,
    inverse: bool = False,
    report: bool = False,
    device: str | None = None,
    threads: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Registration:
    """Register `moving` to `fixed`; several moving images of one patient are a list.

    An image, a label map or a mask is a path, a nibabel image, a pair (array [X, Y, Z], affine to
    RAS+ mm), a MONAI MetaTensor, a SimpleITK image or a `Volume`. `modality` is that of the fixed
    and of the moving image: ct, cbct, mr, us or pet. `settings` are settings of the model's bundle,
    such as {"affine": "none", "refine": 50}. Everything else is as `regzoo register --help` says.

    Nothing is printed; what can be mended is a `zoo.UserError`.
    """
    folder = Path(mkdtemp(prefix="regzoo-") if out is None else out).absolute()
    found = Registration(folder)
    if out is None:
        weakref.finalize(found, shutil.rmtree, folder, ignore_errors=True)
    several = moving if isinstance(moving, list) else [moving]
    names = ["moving"] if len(several) == 1 else [f"moving{k}" for k in range(len(several))]
    with TemporaryDirectory(prefix="regzoo-") as scratch:

        def path(image: Any, name: str) -> str | None:
            return None if image is None else _path(image, Path(scratch), name)

        request = Request(
            fixed=_path(fixed, Path(scratch), "fixed"),
            moving=[
                _path(image, Path(scratch), name)
                for image, name in zip(several, names, strict=True)
            ],
            out=str(folder),
            model=model,
            weights=None if weights is None else fspath(weights),
            modality={str(slot): name for slot, name in enumerate(modality or [])},
            anatomy=anatomy,
            pairing=pairing,
            fixed_labels=path(fixed_labels, "fixed_labels"),
            moving_labels=path(moving_labels, "moving_labels"),
            fixed_mask=path(fixed_mask, "fixed_mask"),
            moving_mask=path(moving_mask, "moving_mask"),
            fixed_points=None if fixed_points is None else fspath(fixed_points),
            moving_points=None if moving_points is None else fspath(moving_points),
            settings=dict(settings or {}),
            outputs={"inverse": inverse, "report": report, "bar": False},
        )
        register_files(request, device=device, threads=threads)
    return found


def _path(image: Any, folder: Path, name: str) -> str:
    """Return the path of an image, which is written to `folder` if it is in memory."""
    if isinstance(image, (str, PathLike)):
        return fspath(image)
    volume = as_volume(image, name)
    target = folder / f"{name}.nii"
    write_volume(target, volume.data, volume.grid)
    return str(target)


def _volume(image: Any, name: str) -> Volume:
    return read_volume(image) if isinstance(image, (str, PathLike)) else as_volume(image, name)
