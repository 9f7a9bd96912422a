"""Server-sent events: what has changed since a client was told, and the stream that tells it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

HEARTBEAT = 15.0
"""Seconds after which a comment is sent, so that a connection that was lost is noticed."""

Told = Mapping[str, tuple[str, Any]]
"""The name of an event and its data, by a key that stays the same while the data change."""


class Changes:
    """Wakes those who wait for a change of the server's state."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self.closed = False

    def announce(self) -> None:
        """Wake all who wait."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def close(self) -> None:
        """End all streams."""
        self.closed = True
        self.announce()

    async def events(
        self, state: Callable[[], Told], all_told: Callable[[], bool]
    ) -> AsyncIterator[str]:
        """Yield the state as server-sent events, then whatever changes in it, and comments.

        A client that is slow gets the newest state and not every step to it. The stream ends with
        the state in which `all_told` is true.
        """
        told: dict[str, str] = {}
        while not self.closed:
            changed, now, last = self._changed, state(), all_told()
            for key in told.keys() - now.keys():
                del told[key]
                yield f"event: removed\ndata: {json.dumps({'id': key})}\n\n"
            for key, (name, data) in now.items():
                compared = {k: v for k, v in data.items() if k != "seconds"}
                text = json.dumps(compared)
                if told.get(key) != text:
                    told[key] = text
                    yield f"event: {name}\ndata: {json.dumps(data)}\n\n"
            if last:
                return
            try:
                await asyncio.wait_for(changed.wait(), HEARTBEAT)
            except asyncio.TimeoutError:  # another class before Python 3.11
                yield ": still here\n\n"
