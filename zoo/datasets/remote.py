"""The pairs of a dataset whose files are in a remote folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from zoo.datasets.path_safety import FileFinder
from zoo.datasets.problems import Problem
from zoo.datasets.reading import DESCRIPTIONS, read_dataset
from zoo.errors import UserError
from zoo.io.limits import MAX_CSV_BYTES
from zoo.io.remote import RemoteFolder


class RemoteListing(FileFinder):
    """The files of a remote folder, as its listing shows them."""

    def __init__(self, versions: Mapping[str, Mapping[str, Any]]) -> None:
        self._sizes = {name: version["size"] for name, version in versions.items()}

    def exists(self, name: str) -> bool:
        """Return whether the folder has a file with this name."""
        return name in self._sizes

    def problem(self, name: str) -> Problem | None:
        """Return what is wrong with a file."""
        if name not in self._sizes:
            fix = "correct the path, or add the file"
            return Problem("file-missing", name, "the file does not exist", fix)
        if not self._sizes[name]:
            fix = "copy the file again or recreate it"
            return Problem("file-empty", name, "the file is empty (0 bytes)", fix)
        return None


def remote_pairs(folder: RemoteFolder, split: str) -> tuple[list[dict[str, Any]], Path]:
    """Return the pairs of a split as arguments of `pair_files`, and the folder of their paths.

    Only the dataset.json or pairs.csv is downloaded. No other file exists in the returned folder.
    """
    versions = folder.list_files()
    name = next((name for name in DESCRIPTIONS if name in versions), None)
    if name is None:
        raise UserError(f"{folder.url} contains neither {' nor '.join(DESCRIPTIONS)}")
    if (size := versions[name]["size"]) > MAX_CSV_BYTES:
        raise UserError(
            f"{folder.url_of(name)} has {size} bytes; at most {MAX_CSV_BYTES} are allowed"
        )
    with TemporaryDirectory(prefix="regzoo-") as scratch:
        root = Path(scratch)
        folder.download(name, root / name)
        try:
            return read_dataset(root / name, RemoteListing(versions)).pairs(split), root
        except UserError as error:
            text = str(error).replace(f"; for a full list run regzoo check {root}", "")
            raise UserError(text.replace(str(root), folder.url)) from None
