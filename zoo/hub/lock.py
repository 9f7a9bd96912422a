"""The user's lock file: which weights are on this computer, and which sha256 a source once had.

An entry is written last, when its file is in place and checked, so that a file without an entry
does not count: whatever was interrupted before is not seen by a later run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from zoo.errors import UserError
from zoo.hub.places import own_home
from zoo.io.atomic import write_json


@dataclass(frozen=True)
class Installed:
    """Weights on this computer: where, their sha256 and size (bytes), and where they came from.

    `source` is hub, upstream, file or url; `origin` names the exact thing; `checked` says against
    what the sha256 was compared: the catalogue, the Hub, an earlier pull, or nothing yet.
    """

    model: str
    variant: str
    path: str
    sha256: str
    size: int
    source: str
    origin: str
    revision: str | None
    checked: str
    pulled: str

    def in_place(self) -> bool:
        """Whether the file is there with the size it had (its content is `regzoo verify`'s)."""
        try:
            return Path(self.path).stat().st_size == self.size
        except OSError:
            return False


@dataclass
class Lock:
    """The lock file's content: installed weights by `model:variant`, sha256 by origin."""

    installed: dict[str, Installed] = field(default_factory=dict)
    pins: dict[str, str] = field(default_factory=dict)


def lock_path() -> Path:
    """The user's lock file."""
    return own_home() / "weights.lock.json"


def read_lock() -> Lock:
    """The lock file's content; empty when there is none."""
    path = lock_path()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        installed = {key: Installed(**entry) for key, entry in content["installed"].items()}
        return Lock(installed, dict(content["pins"]))
    except FileNotFoundError:
        return Lock()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; set HF_HOME") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is no lock file of regzoo ({error}); move it away and pull the weights again"
        ) from error


def record(entry: Installed, pin: tuple[str, str]) -> None:
    """Add or replace an installed entry, and hold its origin to the sha256 it had (`pin`)."""
    with exclusive("lock-file"):
        lock = read_lock()
        lock.installed[f"{entry.model}:{entry.variant}"] = entry
        lock.pins[pin[0]] = pin[1]
        entries = {key: asdict(value) for key, value in sorted(lock.installed.items())}
        write_json(lock_path(), {"installed": entries, "pins": dict(sorted(lock.pins.items()))})


@contextmanager
def exclusive(name: str, when_waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a lock between processes; the system lets go of it when the process dies.

    `when_waiting` is called if another process holds it.
    """
    from filelock import FileLock, Timeout

    folder = own_home() / "locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write in {own_home()}: {error.strerror}; set HF_HOME") from error
    lock = FileLock(folder / f"{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if when_waiting is not None:
            when_waiting()
        lock.acquire()
    except OSError as error:
        raise UserError(f"cannot write in {folder}: {error.strerror}; set HF_HOME") from error
    try:
        yield
    finally:
        lock.release()
