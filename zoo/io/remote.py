"""Files at URLs, such as s3://bucket/study/fixed.nii.gz, read by fsspec.

Credentials are those of the environment or of the provider's own configuration. A URL that contains
any is refused, so that none gets into results or messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from zoo.errors import UserError

SCHEMES: Mapping[str, str | None] = {"s3": "s3", "gs": "gs", "file": None, "memory": None}
"""The schemes that are read, with the extra of regzoo that each one needs."""

_VERSION_KEYS = ("ETag", "etag", "generation", "LastModified", "updated", "mtime", "created")
"""What tells two versions of a file apart in some file system; the first one known is used."""


def is_url(path: object) -> bool:
    """Return whether a path is written as a URL."""
    return isinstance(path, str) and re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", path) is not None


def checked_url(url: str) -> str:
    """Return a URL without a slash at its end, or raise `UserError` if it is not allowed."""
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES:
        raise UserError(f"{scheme}:// is not read; use {', '.join(f'{s}://' for s in SCHEMES)}")
    if "@" in rest.partition("/")[0] or "?" in rest or "::" in url:
        raise UserError(
            f"a {scheme}:// address contains a user, a password or parameters; leave them out: "
            "credentials are taken from the environment or from the provider's configuration"
        )
    if ".." in rest.split("/"):
        raise UserError(f"{url} leads out of a folder with ..; write the address without it")
    return url.rstrip("/")


class RemoteFolder:
    """A folder at a URL. Its files have names relative to it, with / between folders."""

    def __init__(self, url: str) -> None:
        self.url = checked_url(url)
        self._listing: dict[str, dict[str, Any]] | None = None

    def __reduce__(self) -> tuple[type[RemoteFolder], tuple[str]]:
        """Pickle the address alone: each process connects by itself."""
        return RemoteFolder, (self.url,)

    def url_of(self, name: str) -> str:
        """Return the URL of a file."""
        return f"{self.url}/{name}"

    def list_files(self) -> dict[str, dict[str, Any]]:
        """Return the version of every file in the folder and in the folders inside it, by name.

        Links that lead out of a folder on the disk are left out.
        """
        with _readable(self.url):
            found = self._system.find(self._root, detail=True)
        if self.url.startswith("file://"):
            root = Path(self._root).resolve()
            found = {
                path: info for path, info in found.items() if root in Path(path).resolve().parents
            }
        start = len(self._root) + 1
        self._listing = {path[start:]: _version(info) for path, info in found.items()}
        return self._listing

    def listed_version(self, name: str) -> dict[str, Any]:
        """Return the version of a file when the folder was listed, else the present one."""
        return (self._listing or {}).get(name) or self.version(name)

    def version(self, name: str) -> dict[str, Any]:
        """Return the size of a file and what changes with its content, such as an ETag."""
        with _readable(self.url_of(name)):
            return _version(self._system.info(f"{self._root}/{name}"))

    def download(self, name: str, target: Path) -> dict[str, Any]:
        """Copy a file to `target` and return its version; a file that changes is refused."""
        before = self.version(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        with _readable(self.url_of(name)):
            self._system.get_file(f"{self._root}/{name}", str(target))
        if target.stat().st_size != before["size"] or self.version(name) != before:
            raise UserError(f"{self.url_of(name)} has changed while it was read; try again")
        return before

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        with _readable(self.url):
            system, root = url_to_fs(self.url, use_listings_cache=False)
        return system, str(root)

    @property
    def _system(self) -> Any:
        return self._opened[0]

    @property
    def _root(self) -> str:
        return self._opened[1].rstrip("/")


def _version(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the size and the version of a file from what its file system says about it."""
    value = next((info[key] for key in _VERSION_KEYS if info.get(key) is not None), "")
    if isinstance(value, datetime):  # a listing may have the same time as a number
        value = value.timestamp()
    return {"size": int(info["size"] or 0), "version": str(value)}


@contextmanager
def _readable(url: str) -> Iterator[None]:
    """Raise `UserError` for whatever prevents that `url` is read.

    Each provider's library has exceptions of its own, for instance for missing credentials.
    """
    try:
        yield
    except UserError:
        raise
    except ImportError as error:
        extra = SCHEMES[url.partition("://")[0]]
        raise UserError(
            f"{url} needs a package that is not installed ({error}): pip install 'regzoo[{extra}]'"
        ) from None
    except FileNotFoundError:
        raise UserError(f"there is no {url}; check the address") from None
    except PermissionError:
        raise UserError(f"no permission to read {url}; check the credentials") from None
    except Exception as error:
        raise UserError(
            f"cannot read {url} ({type(error).__name__}: {error}); check the address, the "
            "credentials and the connection"
        ) from error
