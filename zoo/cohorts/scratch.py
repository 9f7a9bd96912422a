"""The files of a dataset at a URL, and their local copies in a folder of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Condition
from typing import Any

from zoo.cohorts.digests import DigestOf, files_by_role, pair_digest
from zoo.datasets.pairs import PairFiles
from zoo.errors import UserError
from zoo.hub.weights import sha256_of
from zoo.io.remote import RemoteFolder


@dataclass(frozen=True)
class RemoteFiles:
    """The dataset in a remote folder. A `PairFiles` names its files as if they were in `root`.

    `limit` is the largest size of the local copies of each worker in bytes.
    """

    folder: RemoteFolder
    root: Path
    limit: int

    def name(self, path: Path) -> str:
        """Return the name of a file in the remote folder."""
        return path.relative_to(self.root).as_posix()

    def file_digest(self, path: Path, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return `known`, a digest of a file, if the file has not changed since; else raise."""
        name = self.name(path)
        now = self.folder.listed_version(name)
        if known is None or "sha256" not in known or any(known.get(k) != now[k] for k in now):
            raise UserError(f"{self.folder.url_of(name)} has changed")
        return dict(known)

    def urls(self, files: PairFiles) -> dict[str, Any]:
        """Return the URLs of a pair's files by their name in result.json."""
        found: dict[str, Any] = {"moving": []}
        for role, path in files_by_role(files):
            url = self.folder.url_of(self.name(path))
            if role.startswith("moving."):
                found["moving"].append(url)
            else:
                found[role] = url
        return found


class Scratch:
    """Local copies of remote files in a temporary folder; may be used by several threads.

    When a file does not fit, those that were not used for longest are removed, except for those
    that are in use.
    """

    def __init__(self, remote: RemoteFiles, folder: Path) -> None:
        self._remote, self._folder = remote, folder
        self._versions: dict[
            str, dict[str, Any]
        ] = {}  # of the local copies, the last used at the end
        self._users: dict[str, int] = {}
        self._changed = Condition()

    @contextmanager
    def holding(
        self, files: PairFiles, settings: str
    ) -> Iterator[tuple[PairFiles, dict[str, Any]]]:
        """Yield local copies of a pair's files, which stay during the block, and their digests.

        `settings` is the digest of what all pairs have in common.
        """
        names = {path: self._remote.name(path) for _, path in files_by_role(files)}
        with self._changed:
            self._download(set(names.values()))
        try:
            digest: DigestOf = lambda path, _: self._digest(names[path])  # noqa: E731
            yield self._local(files), pair_digest(files, settings, digest=digest)
        finally:
            with self._changed:
                for name in set(names.values()):
                    self._users[name] -= 1
                self._changed.notify_all()

    def _download(self, names: set[str]) -> None:
        """Copy files that are not here in their present version, and mark all as used."""
        now = {name: self._remote.folder.version(name) for name in names}
        needed, limit = sum(version["size"] for version in now.values()), self._remote.limit
        if needed > limit:
            raise UserError(
                f"the files of a pair have {needed / 1e9:.2f} GB, and --scratch allows "
                f"{limit / 1e9:.2f} GB; allow more"
            )
        while not self._make_room(now):
            self._changed.wait()
        for name, version in now.items():
            if self._versions.get(name) != version:
                self._remove(name)
                self._versions[name] = self._remote.folder.download(name, self._path(name))
            self._versions[name] = self._versions.pop(name)
        for name in names:
            self._users[name] = self._users.get(name, 0) + 1

    def _make_room(self, needed: Mapping[str, Mapping[str, Any]]) -> bool:
        """Remove unused files until the needed ones fit; return whether they do."""
        others = [name for name in self._versions if name not in needed]
        size = sum(v["size"] for v in needed.values())
        size += sum(self._versions[name]["size"] for name in others)
        for name in others:
            if size <= self._remote.limit:
                break
            if not self._users.get(name):
                size -= self._versions[name]["size"]
                self._remove(name)
        changed = [n for n, v in needed.items() if self._versions.get(n, v) != v]
        return size <= self._remote.limit and not any(self._users.get(name) for name in changed)

    def _remove(self, name: str) -> None:
        self._versions.pop(name, None)
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / name

    def _digest(self, name: str) -> dict[str, Any]:
        return {"sha256": sha256_of(self._path(name)), **self._versions[name]}

    def _local(self, files: PairFiles) -> PairFiles:
        """Return the paths of the local copies."""
        local: dict[str, Any] = {
            role: self._path(self._remote.name(path))
            for role, path in files_by_role(files)
            if not role.startswith("moving.")
        }
        moving = tuple(self._path(self._remote.name(path)) for path in files.moving)
        return replace(files, moving=moving, **local)


@contextmanager
def open_scratch(remote: RemoteFiles | None) -> Iterator[Scratch | None]:
    """Yield an empty scratch folder, which is removed afterwards; None for a local dataset."""
    if remote is None:
        yield None
        return
    with TemporaryDirectory(prefix="regzoo-scratch-", ignore_cleanup_errors=True) as folder:
        yield Scratch(remote, Path(folder))
