"""Writing a file so that a reader, or a kill at any moment, sees the old one or the new one."""

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

_MENDABLE = {
    errno.ENOSPC: "the disk is full; free some space or write elsewhere",
    errno.EDQUOT: "your disk quota is used up; free some space or write elsewhere",
    errno.EFBIG: "the file is too large for this disk; write elsewhere",
    errno.EROFS: "the disk is read-only; write elsewhere",
    errno.EACCES: "no permission to write there; write elsewhere or change the permissions",
    errno.EPERM: "no permission to write there; write elsewhere or change the permissions",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}

LEFTOVERS = ".*.tmp.*"
"""The pattern of temporary files: what a killed process leaves."""

_KEPT = 200  # characters of a name that its temporary file ends with


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path to write to; when the block ends well its file takes the place of `path`.

    The temporary file lies in the same folder and ends as the name does, so that writers which
    choose by suffix do the same. When the block fails, the temporary file goes and `path` stays as
    it was. The bytes are on the disk before the rename.
    """
    target = _checked(Path(path))
    # Not longer than the name itself may be: what the writers choose by is its end.
    temporary = target.with_name(f".{secrets.token_hex(4)}.tmp.{target.name[-_KEPT:]}")
    try:
        mode = _usual_mode(temporary)
        yield temporary
        temporary.chmod(mode)  # some libraries make files for their owner alone
        _sync(temporary)
        temporary.replace(target)
        _sync(target.parent)
    except OSError as error:
        reason = _MENDABLE.get(error.errno or 0)
        if reason is None:
            raise
        raise UserError(f"cannot write {path}: {reason}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON with a final newline, atomically; NaN and Inf are refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def put_folder(made: Path, target: Path) -> None:
    """Put a folder that was made elsewhere on the same disk in the place of `target`.

    Whoever is killed on the way leaves the old folder there, or none, or the new one whole.
    """
    old = made.with_name(f"{made.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    made.rename(target)
    _sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _usual_mode(path: Path) -> int:
    """Return the permissions that a new file at `path` gets here."""
    path.touch()
    mode = path.stat().st_mode & 0o777
    path.unlink()
    return mode


def check_place(path: str | os.PathLike[str]) -> None:
    """Refuse a place that `atomic_path` would refuse, before the work that is to be written."""
    _checked(Path(path))


def _checked(path: Path) -> Path:
    """Return where `path` leads; refuse a folder, and a place that is not there or not a folder.

    A link stays a link: the file behind it is replaced.
    """
    try:
        if path.is_dir():
            raise UserError(f"cannot write {path}: it is a folder; give the name of a file")
        target = path.resolve()
        if target.is_symlink():  # links in a circle, as Python 3.13 leaves them
            raise UserError(f"cannot write {path}: its links lead in a circle; write elsewhere")
        for folder in (path.parent, target.parent):
            if folder.exists() and not folder.is_dir():
                raise UserError(f"cannot write {path}: {folder} is a file; give a folder instead")
            if not folder.is_dir():
                raise UserError(f"cannot write {path}: there is no folder {folder}; make it first")
    except RuntimeError as error:  # links in a circle, as older Python says it
        raise UserError(f"cannot write {path}: {error}; write elsewhere") from error
    except OSError as error:
        reason = _MENDABLE.get(error.errno or 0, f"{error.strerror}; write elsewhere")
        raise UserError(f"cannot write {path}: {reason}") from error
    return target


def _sync(path: Path) -> None:
    """Have the disk hold what was written to a file, or to a folder's list of names."""
    if path.is_dir() and os.name == "nt":
        return  # Windows does not open folders
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
