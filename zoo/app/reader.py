"""The helper process that reads images, makes plans and prepares what the page shows."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from importlib import import_module
from multiprocessing import active_children, connection, get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from zoo.app.request_error import RequestError

T = TypeVar("T")

FIRST_TO_KILL = 1000
"""Linux kills the process with this value first if the computer runs out of memory."""


class Reader:
    """Calls functions in a process of its own, one after the other.

    The functions and their results are plain data or defined at the top of a module. If the process
    is killed, as for want of memory, the next call starts another.
    """

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None

    def start(self) -> None:
        """Start the process, which takes seconds, before anybody waits for it."""
        self._pool = _pool()
        self._pool.submit(import_module, "zoo.app.reading.describe")

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return the result of a function; what it raises is raised here."""
        pool = self._pool = self._pool or _pool()
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)
        except BrokenProcessPool:
            if self._pool is pool:
                self._pool = None
            raise _too_little_memory("was killed, most likely because") from None
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, MemoryError) or "allocate memory" in str(error):
                raise _too_little_memory("stopped because") from None
            raise

    def close(self) -> None:
        """End the process."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            for process in active_children():  # a function that is running is not waited for
                process.terminate()


def _too_little_memory(how: str) -> RequestError:
    return RequestError(
        f"the process that reads images {how} the computer has too little memory for them; try "
        "smaller images",
        507,
    )


def _pool() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_prepare)


def _prepare() -> None:
    """Leave Ctrl-C to the server, and end when the server has ended, however that happened."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    kill_first(os.getpid())
    Thread(target=_end_with_parent, daemon=True).start()


def kill_first(process: int) -> None:
    """Let the system end this process, and not the server, if the memory is not enough."""
    with suppress(OSError):  # only Linux knows this
        Path(f"/proc/{process}/oom_score_adj").write_text(str(FIRST_TO_KILL), encoding="utf-8")


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
