"""Ending well when the system asks for it: SIGINT (Ctrl-C) and SIGTERM."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """A signal asked the program to stop. No `Exception`: nothing takes it for a failure."""


class Stop:
    """Notes, while it is entered, the first signal that asks to stop.

    Work asks `wanted` at its seams; what may be dropped half-way runs inside `at_once`.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._at_once = False
        self._before: dict[int, Any] = {}

    @property
    def wanted(self) -> bool:
        """Whether a signal came."""
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """What a shell reports of a program that the signal ended: 130 or 143; 0 without one."""
        return 0 if self.signal is None else 128 + self.signal

    def __enter__(self) -> Stop:
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise `Stopped` out of the block as soon as a signal comes, or if one came before."""
        self._at_once = True
        try:
            if self.wanted:
                raise Stopped
            yield
        finally:
            self._at_once = False

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.signal = self.signal or number
        if self._at_once:
            self._at_once = False
            raise Stopped
