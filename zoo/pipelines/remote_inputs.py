"""Inputs of one registration at URLs, which are downloaded before it starts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from zoo.errors import UserError
from zoo.io.remote import RemoteFolder, is_url
from zoo.pipelines.options import RegistrationOptions

ROLES = (
    *("fixed", "fixed_labels", "moving_labels", "fixed_mask", "moving_mask"),
    *("fixed_points", "moving_points"),
)


@contextmanager
def local_inputs(
    options: RegistrationOptions,
) -> Iterator[tuple[RegistrationOptions, dict[str, Any]]]:
    """Yield options in which every input is a local file, and the entries of result.json for them.

    Inputs at URLs are copied to a temporary folder, which is removed afterwards, and result.json
    states their URLs.
    """
    moving = options.moving
    if isinstance(moving, str) and any(map(is_url, moving.split(","))):
        moving = [name.strip() for name in moving.split(",")]
    images: list[Any] = list(moving) if isinstance(moving, (list, tuple)) else [moving]
    given = {role: getattr(options, role) for role in ROLES}
    if not any(map(is_url, (*given.values(), *images))):
        yield options, {}
        return
    if options.bids:
        raise UserError(
            "--bids names files of a BIDS dataset on this computer; download the images"
        )
    with TemporaryDirectory(prefix="regzoo-") as folder:

        def local(role: str, path: Any) -> Any:
            return _downloaded(path, Path(folder) / role) if is_url(path) else path

        files = {role: local(role, path) for role, path in given.items()}
        here = [local(f"moving{k}", path) for k, path in enumerate(images)]
        urls = {role: url for role, url in given.items() if is_url(url)}
        shown = [str(p) if is_url(p) else str(Path(p).absolute()) for p in images]
        yield replace(options, moving=here, **files), {**urls, "moving": shown}


def _downloaded(url: str, folder: Path) -> Path:
    """Copy the file at a URL into a new folder, under its own name."""
    parent, _, name = url.rpartition("/")
    remote = RemoteFolder(parent)
    size, free = remote.version(name)["size"], shutil.disk_usage(folder.parent).free
    if size > free:
        raise UserError(
            f"{url} has {size / 1e9:.2f} GB, and {folder.parent} has {free / 1e9:.2f} GB of free "
            "space; free some space, or set TMPDIR to another folder"
        )
    remote.download(name, folder / name)
    return folder / name
