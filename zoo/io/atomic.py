"""Atomic writes: readers see the old file or the new one, even if the process is killed."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from zoo.errors import UserError

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space or write elsewhere",
    errno.EDQUOT: "your disk quota is used up; free some space or write elsewhere",
    errno.EFBIG: "the file is too large for this disk; write elsewhere",
    errno.EROFS: "the disk is read-only; write elsewhere",
    errno.EACCES: "no permission to write there; write elsewhere or change the permissions",
    errno.EPERM: "no permission to write there; write elsewhere or change the permissions",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}

LEFTOVERS = ".*.tmp.*"
"""The glob pattern of temporary files, which a killed process leaves behind."""

_MAX_SUFFIX = 200  # characters of the target name that the temporary name ends with


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path to write to, which replaces `path` when the block succeeds.

    The temporary file is in the same folder and has the same suffix, because some writers choose
    the format by suffix. It is flushed to disk before it is renamed. If the block fails, the
    temporary file is removed and `path` stays as it was.
    """
    target = _resolved(Path(path))
    # Only the end of the name is kept: it has the suffix, and the whole could become too long.
    temporary = target.with_name(f".{secrets.token_hex(4)}.tmp.{target.name[-_MAX_SUFFIX:]}")
    try:
        mode = _default_mode(temporary)
        yield temporary
        temporary.chmod(mode)  # some libraries create files that only their owner may read
        sync(temporary)
        temporary.replace(target)
        sync(target.parent)
    except OSError as error:
        reason = _REASONS.get(error.errno or 0)
        if reason is None:
            raise
        raise UserError(f"cannot write {path}: {reason}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8 with the line ends of `text` on every system, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON, atomically; NaN and Inf raise ValueError."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def replace_folder(source: Path, target: Path) -> None:
    """Move the folder `source` to `target`, on the same disk, and remove the old `target`.

    If the process is killed in between, `target` is the old folder, missing, or the complete new
    folder.
    """
    old = source.with_name(f"{source.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    source.rename(target)
    sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _default_mode(path: Path) -> int:
    """Return the permissions of a new file at `path`, which follow the umask."""
    path.touch()
    mode = path.stat().st_mode & 0o777
    path.unlink()
    return mode


def check_writable(path: str | os.PathLike[str]) -> None:
    """Check before a long computation that `path` names a file in an existing folder."""
    _resolved(Path(path))


def _resolved(path: Path) -> Path:
    """Return `path` with links resolved, so that the file behind a link is replaced.

    A path that is a folder, or whose folder does not exist, is refused.
    """
    try:
        if path.is_dir():
            raise UserError(f"cannot write {path}: it is a folder; give the name of a file")
        target = path.resolve()
        if target.is_symlink():  # a circle of links; Python 3.13 does not raise
            raise UserError(f"cannot write {path}: its links form a circle; write elsewhere")
        for folder in (path.parent, target.parent):
            if folder.exists() and not folder.is_dir():
                raise UserError(f"cannot write {path}: {folder} is a file; give a folder instead")
            if not folder.is_dir():
                raise UserError(
                    f"cannot write {path}: there is no folder {folder}; create it first"
                )
    except RuntimeError as error:  # a circle of links, in Python before 3.13
        raise UserError(f"cannot write {path}: {error}; write elsewhere") from error
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, f"{error.strerror}; write elsewhere")
        raise UserError(f"cannot write {path}: {reason}") from error
    return target


def sync(path: Path) -> None:
    """Flush a file, or the list of names of a folder, to disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
