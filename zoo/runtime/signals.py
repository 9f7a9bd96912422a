"""An orderly stop when the system requests it by SIGINT (Ctrl-C) or SIGTERM."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """A signal requested a stop.

    This is not an `Exception`, so that code which records failures lets it pass.
    """


class StopSignal:
    """Records, while it is entered, the first signal that requests a stop.

    Code checks `requested` where it can stop, and runs steps that may be interrupted inside
    `interruptible`.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._interruptible = False
        self._handlers: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether a signal has arrived."""
        return self.number is not None

    @property
    def exit_code(self) -> int:
        """The exit code of a program that the signal ended: 130 or 143; 0 without a signal."""
        return 0 if self.number is None else 128 + self.number

    def __enter__(self) -> StopSignal:
        self._handlers = {number: signal.signal(number, self._record) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Raise `Stopped` inside the block when a signal arrives or has arrived before."""
        self._interruptible = True
        try:
            if self.requested:
                raise Stopped
            yield
        finally:
            self._interruptible = False

    def _record(self, number: int, _frame: FrameType | None) -> None:
        self.number = self.number or number
        if self._interruptible:
            self._interruptible = False
            raise Stopped
