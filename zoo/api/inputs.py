"""Images that are given to the Python API: paths, or objects in memory."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from zoo.io.images import as_volume
from zoo.io.volume import Volume, read_volume, write_volume
from zoo.pipelines.options import RegistrationOptions

IN_MEMORY = ("fixed_labels", "moving_labels", "fixed_mask", "moving_mask")
"""What may be an object in memory, besides the images."""


def as_files(options: RegistrationOptions, folder: Path) -> RegistrationOptions:
    """Return options in which every image is a file; images in memory are written to `folder`."""
    images = options.moving if isinstance(options.moving, list) else [options.moving]
    names = ["moving"] if len(images) == 1 else [f"moving{k}" for k in range(len(images))]
    paths: dict[str, Any] = {
        "fixed": _path(options.fixed, folder, "fixed"),
        "moving": [_path(image, folder, n) for image, n in zip(images, names, strict=True)],
    }
    for name in IN_MEMORY:
        if (image := getattr(options, name)) is not None:
            paths[name] = _path(image, folder, name)
    return replace(options, **paths)


def _path(image: Any, folder: Path, name: str) -> str:
    """Return the path of an image, which is written to `folder` if it is in memory."""
    if isinstance(image, (str, PathLike)):
        return fspath(image)
    volume = as_volume(image, name)
    target = folder / f"{name}.nii"
    write_volume(target, volume.data, volume.grid)
    return str(target)


def volume_of(image: Any, name: str) -> Volume:
    """Return an image that is a path or an object in memory; `name` is for error messages."""
    return read_volume(image) if isinstance(image, (str, PathLike)) else as_volume(image, name)
