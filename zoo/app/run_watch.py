"""Looks at the folder of a run while it is in progress, and announces pairs that were settled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.app.changes import Changes
from zoo.app.reading.run_table import Settled, planned_pairs, settled_pairs
from zoo.cohorts.record import RESULT
from zoo.errors import UserError

PAUSE = 2.0
"""Seconds between two looks at the folder."""

SHARE = 20
"""Looks at a large folder take at most one part in so many of the time."""


@dataclass
class RunWatch:
    """The folder of a run, the names of its pairs if they are known, and which are settled."""

    folder: Path
    planned: tuple[str, ...] | None = None
    settled: Settled = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path) -> RunWatch:
        """Look at the folder of a run for the first time."""
        if not folder.is_dir():
            raise UserError(f"there is no folder {folder}; give --run the folder of regzoo run")
        watch = cls(folder, planned_pairs(folder), settled_pairs(folder))
        if watch.planned is None and not watch.settled:
            raise UserError(
                f"{folder} holds neither a run nor results; give --run the folder of regzoo run"
            )
        return watch

    def finished(self) -> set[str]:
        """Return the names of the pairs that have a result now."""
        return {name for name, (file, _) in settled_pairs(self.folder).items() if file == RESULT}

    def to_json(self) -> dict[str, Any]:
        """Return the data of the event `run`."""
        files = [file for file, _ in self.settled.values()]
        finished = files.count(RESULT)
        return {
            "finished": finished,
            "errors": len(files) - finished,
            "pairs": None if self.planned is None else len(self.planned),
            "changed": _latest(self.settled),
        }

    async def watch(self, changes: Changes) -> None:
        """Look at the folder again and again, until the task is cancelled."""
        while True:
            started = time.monotonic()
            settled = await asyncio.to_thread(settled_pairs, self.folder)
            if settled != self.settled:
                self.settled = settled
                changes.announce()
            await asyncio.sleep(max(PAUSE, SHARE * (time.monotonic() - started)))


def _latest(settled: Mapping[str, tuple[str, int]]) -> int:
    """Return when the newest result was written, ms; a repeated registration changes it."""
    return max((written for _, written in settled.values()), default=0) // 1_000_000
