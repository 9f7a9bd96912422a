"""The temporary folder of a server, which is removed when the server ends.

A server that is killed cannot remove its folder; the next one does. A folder whose lock is held
belongs to a server that is running.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX, LOCK = "regzoo-app-", "lock"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a new folder, and remove it after the block with all that is in it."""
    remove_leftovers(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        with FileLock(folder / LOCK, timeout=0):
            yield folder


def remove_leftovers(parent: Path) -> None:
    """Remove the folders of servers of this user that were killed."""
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            if folder.is_symlink() or not (folder / LOCK).is_file() or not _is_own(folder):
                continue
            with FileLock(folder / LOCK, timeout=0):
                pass
        except (Timeout, OSError):
            continue
        shutil.rmtree(folder, ignore_errors=True)


def _is_own(folder: Path) -> bool:
    return os.name == "nt" or folder.stat().st_uid == os.getuid()
