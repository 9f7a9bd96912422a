"""An output folder whose files are replaced together, even if the process is killed.

New files are collected in a staging folder, which is on the disk of the output folder. When they
are complete, a journal of the changes is written, and the files are renamed into the output folder.
A process that is killed before the journal is complete leaves the previous files. If it is killed
later, the next process that writes to the folder finishes the changes of the journal first. While
files are renamed, the output folder has no marker, which is the file that shows that a set of
outputs is complete.

The folder `.NAME.regzoo` beside an output folder NAME exists while NAME is written to. It holds

    lock           locked by the process that writes to NAME, until this process ends
    process        the description of this process, for messages
    new/           the staged files
    journal.json   the changes that are being made to NAME
"""

from __future__ import annotations

import errno
import os
import platform
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath

from filelock import FileLock, Timeout

from zoo.errors import UserError
from zoo.io.atomic import atomic_path, sync, write_json
from zoo.io.json_documents import read_json_object, report_missing_keys

LOCK, PROCESS, STAGED, JOURNAL = "lock", "process", "new", "journal.json"
ATTEMPTS = 100  # to open a lock file that other processes create and remove


@contextmanager
def staged_outputs(
    folder: str | os.PathLike[str], previous: Callable[[Path], Iterable[str]], *, marker: str
) -> Iterator[Path]:
    """Yield an empty folder; its files replace the previous outputs in `folder` after the block.

    If the block fails, `folder` stays as it was. A folder to which another process or thread is
    writing is refused.

    Args:
        folder: The output folder, which is created if it does not exist. Links are resolved.
        previous: Returns the names of the previous outputs in a folder, relative to it. Those that
            are not replaced are removed. All other files stay.
        marker: The name of the file that shows that the outputs are complete, such as result.json.
    """
    target = _resolved(Path(folder))
    missing = _missing_parents(target)
    try:
        try:
            state = _state_folder(target)
            lock = _acquire(state, target)
        except OSError as error:
            raise _cannot_write(folder, error) from error
        try:
            (state / PROCESS).write_text(
                f"process {os.getpid()} on {platform.node()}", encoding="utf-8"
            )
            if (state / JOURNAL).exists():  # of a process that was killed
                with report_missing_keys(state / JOURNAL):
                    _finish(state, target)
            staged = state / STAGED
            shutil.rmtree(staged, ignore_errors=True)
            staged.mkdir()
            yield staged
            _install(state, target, previous, marker)
        finally:
            _release(lock, state)
    finally:
        for parent in missing:
            with suppress(OSError):  # a parent with files in it stays
                parent.rmdir()


def _install(
    state: Path, target: Path, previous: Callable[[Path], Iterable[str]], marker: str
) -> None:
    """Move the staged files to `target` and remove the previous outputs that have no successor."""
    staged = state / STAGED
    if not target.exists():
        staged.rename(target)
        sync(target.parent)
        return
    names = {path.relative_to(staged).as_posix() for path in staged.rglob("*") if path.is_file()}
    for name in sorted(names):
        if (target / name).is_dir():
            raise UserError(
                f"cannot write {target / name}: it is a folder; rename it or choose another --out"
            )
    changes = {
        "marker": marker,
        "install": sorted(names - {marker}),
        "remove": sorted(set(previous(target)) - names),
    }
    write_json(state / JOURNAL, changes)
    try:
        _finish(state, target)
    except BaseException:
        _finish(state, target)  # An interrupt by the user must not leave half of the files.
        raise


def _finish(state: Path, target: Path) -> None:
    """Make the changes of the journal that have not been made yet."""
    journal, staged = read_json_object(state / JOURNAL), state / STAGED
    marker = _inside(target, journal["marker"])
    # The staged marker is moved last. If it is missing, all changes have been made.
    if (staged / marker.name).exists():
        marker.unlink(missing_ok=True)
        for name in journal["remove"]:
            path = _inside(target, name)
            path.unlink(missing_ok=True)
            if path.parent != target:
                with suppress(OSError):  # the folder has other files or is missing
                    path.parent.rmdir()
        for name in journal["install"]:
            path = _inside(target, name)
            if (staged / name).exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                _move(staged / name, path)
        _move(staged / marker.name, marker)
        sync(target)
    (state / JOURNAL).unlink(missing_ok=True)


def _inside(target: Path, name: str) -> Path:
    """Return the path of a file in `target`; refuse a name that leads elsewhere."""
    path = target / name
    if ".." in PurePath(name).parts or not path.parent.resolve().is_relative_to(target):
        raise UserError(
            f"the journal in .{target.name}.regzoo names the file {name!r}, which is not inside "
            f"{target}; remove the folder .{target.name}.regzoo"
        )
    return path


def _move(source: Path, target: Path) -> None:
    """Replace `target` by the file `source`."""
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # a folder may be mounted a second time from the same disk
            raise
        with atomic_path(target) as temporary:
            shutil.copy2(source, temporary)
        source.unlink()


def _state_folder(target: Path) -> Path:
    """Return the folder for lock, journal and staged files.

    It is beside `target`, or inside if `target` is a mounted disk or its parent is not writable.
    """
    name = f".{target.name}.regzoo"
    if target.is_dir() and (
        os.path.ismount(target) or not os.access(target.parent, os.W_OK | os.X_OK)
    ):
        return target / name
    return target.parent / name


def _acquire(state: Path, target: Path) -> FileLock:
    """Return the acquired lock of an output folder; raise `UserError` if it is held elsewhere."""
    path = state / LOCK
    if state.is_symlink() or state.is_file():
        raise UserError(f"{state} is a link or a file, which regzoo does not create; remove it")
    lock = FileLock(path, timeout=0, thread_local=False)
    for _ in range(ATTEMPTS):
        try:
            state.mkdir(parents=True, exist_ok=True)
            path.touch()
            file_number = path.stat().st_ino
            lock.acquire()
            if path.stat().st_ino == file_number:
                return lock
        except (FileNotFoundError, FileExistsError):
            pass  # mkdir reports an existing folder if it is removed at this moment
        except Timeout:
            if path.exists():
                break
        # The previous holder removed the file or its folder while this process opened it.
        lock.release()
    raise _busy(state, target)


def _release(lock: FileLock, state: Path) -> None:
    """Remove the state folder and release the lock; a journal with open changes is kept."""
    if not (state / JOURNAL).exists():
        shutil.rmtree(state / STAGED, ignore_errors=True)
        for path in sorted(state.iterdir(), key=lambda path: path.name == LOCK):
            with suppress(OSError):  # Windows does not remove open files
                path.unlink()
    lock.release()
    with suppress(OSError):  # another process uses the folder, or the journal was kept
        state.rmdir()


def _busy(state: Path, target: Path) -> UserError:
    """Return the error for an output folder that another process or thread is writing to."""
    try:
        process = (state / PROCESS).read_text(
            encoding="utf-8", errors="replace"
        ) or "another process"
    except OSError:
        process = "another process"
    return UserError(
        f"{process} is writing to the folder {target}; wait until it ends, or choose another --out",
        code="busy",
    )


def _resolved(folder: Path) -> Path:
    """Return `folder` with links resolved; refuse a file."""
    try:
        target = folder.resolve()
        if target.exists() and not target.is_dir():
            raise UserError(f"cannot write to {folder}: it is a file; give the name of a folder")
        if (file := next((p for p in target.parents if p.is_file()), None)) is not None:
            raise UserError(
                f"cannot write to {folder}: {file} is a file, not a folder; choose another --out"
            )
    except (OSError, RuntimeError) as error:  # no access, a name too long, a circle of links
        raise _cannot_write(folder, error) from error
    return target


def _missing_parents(target: Path) -> list[Path]:
    """Return the parents of `target` that do not exist, the innermost first."""
    return [parent for parent in target.parents if not os.path.lexists(parent)]


def _cannot_write(folder: str | os.PathLike[str], error: Exception) -> UserError:
    reason = getattr(error, "strerror", None) or error
    return UserError(f"cannot write to the folder {folder}: {reason}; choose another --out")
