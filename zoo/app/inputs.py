"""The inputs: files that were uploaded or chosen in `--data`, with what was detected about them."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.app.data_folder import DataFolder
from zoo.app.request_error import RequestError
from zoo.datasets.path_safety import path_problem
from zoo.io.dicom.location import SEPARATOR
from zoo.io.limits import MAX_DICOM_FILES

NOT_PORTABLE = '<>:"|?*\\'
"""Characters that Windows does not allow in names, among them those of HTML."""

RESERVE = 1 << 30
"""Bytes of the disk that uploads leave free."""


@dataclass
class Input:
    """A file or folder at `location`; `folder` is removed with it, and `series` is a UID in it."""

    id: str
    name: str
    source: str
    location: Path
    folder: Path | None = None
    series: str | None = None
    bytes: int = 0
    files: int = 0
    complete: bool = False
    detected: dict[str, Any] = field(default_factory=dict)
    used: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> Path:
        """What a registration reads: the location or one series in it."""
        if self.series is None:
            return self.location
        return self.location.with_name(f"{self.location.name}{SEPARATOR}{self.series}")

    def to_json(self) -> dict[str, Any]:
        """Return the document of the input."""
        facts = {"id": self.id, "name": self.name, "bytes": self.bytes, "source": self.source}
        return facts | (self.detected or {"kind": "unknown", "problem": None})


class Inputs:
    """All inputs of a server, by their id."""

    def __init__(self, folder: Path, most_bytes: int, data: DataFolder | None) -> None:
        self.folder = folder
        self.most_bytes = most_bytes
        self.data = data
        self._inputs: dict[str, Input] = {}

    def __getitem__(self, id: str) -> Input:
        found = self._inputs.get(id)
        if found is None:
            raise RequestError("this file is no longer on the server; choose it again", 404)
        found.used = time.monotonic()
        return found

    def of_data(self, name: str) -> Input:
        """Return a new input for a file of `--data`."""
        if self.data is None:
            raise RequestError(
                "the server was started without --data; upload the file instead", 403
            )
        path = self.data.find(name)
        size = path.stat().st_size if path.is_file() else 0
        return self._added(Input(_new_id(), path.name, "data", path, bytes=size))

    def begin(self, name: str, announced: int | None) -> Input:
        """Return a new input for an upload of so many bytes, if they were announced."""
        self._check(_checked_name(name), announced or 0)
        id = _new_id()
        folder = self.folder / id
        folder.mkdir(parents=True)
        return self._added(Input(id, name, "upload", folder / name, folder))

    async def receive(self, input: Input, blocks: AsyncIterator[bytes], inside: str = "") -> None:
        """Write the body of an upload to the path of the input, or to a file inside it.

        An upload that fails or becomes too large leaves no file.
        """
        target = input.path / inside if inside else input.path
        if inside and target.exists():
            raise RequestError(f"{inside[:200]!r} was uploaded twice", 409)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with target.open("xb") as stream:
                async for block in blocks:
                    input.bytes += len(block)
                    self._check(input.name, len(block), input.bytes)
                    stream.write(block)
            input.files += 1
        except BaseException:
            if inside:
                target.unlink(missing_ok=True)
            else:
                self.remove(input.id)
            raise

    def folder_for(self, input: Input) -> Path:
        """Return a new folder for an archive, which has its name and is removed with the input."""
        input.folder = input.folder or self.folder / input.id
        folder = input.folder / "unpacked" / Path(input.name).stem
        folder.mkdir(parents=True)
        return folder

    def check_member(self, input: Input, name: str, announced: int | None) -> None:
        """Refuse a file that may not be added to the folder of an input."""
        if input.complete or input.source != "upload" or input.path.is_file():
            raise RequestError(f"{input.name} is complete; nothing can be added to it", 409)
        if problem := path_problem(name):
            raise RequestError(f"{name[:200]!r}: {problem.what}; {problem.fix}")
        for part in name.split("/"):
            _checked_name(part)
        if input.files >= MAX_DICOM_FILES:
            raise RequestError(f"a folder may have {MAX_DICOM_FILES} files", 413)
        self._check(input.name, announced or 0, input.bytes + (announced or 0))

    def remove(self, id: str) -> None:
        """Remove an input and, if it was uploaded, its files."""
        removed = self._inputs.pop(id, None)
        if removed is not None and removed.folder is not None:
            shutil.rmtree(removed.folder, ignore_errors=True)

    def remove_unused(self, seconds: float, needed: set[str]) -> None:
        """Remove the inputs that were not used for so long, except those that are `needed`."""
        limit = time.monotonic() - seconds
        for id in [i.id for i in self._inputs.values() if i.used < limit and i.id not in needed]:
            self.remove(id)

    def choose_series(self, input: Input, uid: str) -> None:
        """Let an input be one series of its folder."""
        listed = input.detected.get("series") or []
        if uid not in [series["uid"] for series in listed]:
            raise RequestError(f"{input.name} has no series {uid[:100]!r}")
        input.series = uid

    def _added(self, input: Input) -> Input:
        self._inputs[input.id] = input
        return input

    def _check(self, name: str, size: int, total: int = 0) -> None:
        """Refuse bytes that exceed the limit of an upload or the disk."""
        if max(size, total) > self.most_bytes:
            raise RequestError(
                f"{name[:200]} is larger than {self.most_bytes / 1e6:.0f} MB, the limit of this "
                "server; start it with a larger --max-upload, or use --data",
                413,
            )
        if shutil.disk_usage(self.folder).free - size < RESERVE:
            raise RequestError("the disk of the server is full; remove some files", 507)


def _new_id() -> str:
    return secrets.token_urlsafe(12)


def _checked_name(name: str) -> str:
    """Return the name of an uploaded file; refuse a path and what not every system allows."""
    problem = path_problem(name)
    if "/" in name or name in (".", ".."):
        raise RequestError(f"{name[:200]!r} is a path; only the name of a file is allowed")
    if problem is not None:
        raise RequestError(f"{name[:200]!r}: {problem.what}; {problem.fix}")
    if found := [c for c in NOT_PORTABLE if c in name]:
        raise RequestError(f"the name {name[:200]!r} contains {found[0]!r}; rename the file")
    return name
