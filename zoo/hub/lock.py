"""The user's lock file: which weights are on this computer, and which sha256 each source had.

An entry is written last, after its file has been checked and put in place. A file without an entry
does not count, so an interrupted pull leaves nothing that a later run would use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.hub.cache import regzoo_home
from zoo.io.atomic import write_json
from zoo.io.json_documents import read_json_object

UNVERIFIED = "nothing yet"
"""The value of `Installed.checked` for a file whose sha256 could not be compared with anything."""


@dataclass(frozen=True)
class Installed:
    """Weights on this computer: their path, sha256, size (bytes) and source.

    `source` is hub, upstream, file or url; `origin` is the exact file or address. `checked` says
    what the sha256 was compared with: the catalogue, the Hub, an earlier pull, or `UNVERIFIED`.
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
        """Return whether the file exists with its size (`regzoo verify` checks its content)."""
        try:
            return Path(self.path).stat().st_size == self.size
        except OSError:
            return False


@dataclass
class Lock:
    """The content of the lock file: installed weights by `model:variant`, and sha256 by origin."""

    installed: dict[str, Installed] = field(default_factory=dict)
    pins: dict[str, str] = field(default_factory=dict)


def lock_path() -> Path:
    """Return the path of the user's lock file."""
    return regzoo_home() / "weights.lock.json"


def read_lock() -> Lock:
    """Return the content of the lock file, empty if there is no file."""
    path = lock_path()
    try:
        if not path.exists():
            return Lock()
        content = read_json_object(path)
        installed = {key: _entry(entry) for key, entry in content["installed"].items()}
        pins = {str(key): _text(value) for key, value in content["pins"].items()}
        return Lock(installed, pins)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; set HF_HOME") from error
    except (UserError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is not a lock file of regzoo ({error}); move it away and pull the "
            "weights again"
        ) from error


def _entry(values: Mapping[str, Any]) -> Installed:
    """Return an entry of the lock file; TypeError says which value is not allowed."""
    entry = Installed(**values)
    for name, value in values.items():
        if name == "size":
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"size {value!r:.60} is not a whole number")
        elif not (value is None and name == "revision"):
            _text(value)
    return entry


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise TypeError(f"{value!r:.60} is not a text")
    return value


def record(entry: Installed, pin: tuple[str, str]) -> None:
    """Add or replace an entry, and note the sha256 of its origin for later pulls.

    `pin` is the origin and its sha256.
    """
    with exclusive("lock-file"):
        lock = read_lock()
        lock.installed[f"{entry.model}:{entry.variant}"] = entry
        lock.pins[pin[0]] = pin[1]
        entries = {key: asdict(value) for key, value in sorted(lock.installed.items())}
        write_json(lock_path(), {"installed": entries, "pins": dict(sorted(lock.pins.items()))})


@contextmanager
def exclusive(name: str, when_waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold a lock between processes; the system releases it when the process dies.

    `when_waiting` is called if another process holds the lock.
    """
    from filelock import FileLock, Timeout

    folder = regzoo_home() / "locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write in {regzoo_home()}: {error.strerror}; set HF_HOME"
        ) from error
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
