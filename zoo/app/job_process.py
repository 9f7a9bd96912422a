"""The process of one registration: `python -m zoo register`, its progress, and how it ended."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import zoo
from zoo.app.reader import kill_first
from zoo.app.request_error import RequestError
from zoo.registration.progress import LINE

COMMAND = (sys.executable, "-m", "zoo")
PATIENCE = 5.0
"""Seconds after which a process that was asked to end is killed."""

LONGEST_LINE = 1 << 16
KEPT_LINES = 40
KILLED = 9
"""The signal with which a system ends a process if the memory is not enough."""

UNEXPECTED = 500
"""The status of a failure that is a mistake in regzoo or in a library."""


class JobProcess:
    """A registration that runs. `lines` are the last lines that it wrote, except for progress."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)

    @classmethod
    async def start(cls, words: Sequence[str], folder: Path) -> JobProcess:
        """Start a command of regzoo in the working folder `folder`, which is empty.

        Python looks for modules in the working folder first, so it is not one of the user's.
        """
        package = str(Path(zoo.__file__).parent.parent)
        path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
        windows = os.name == "nt"
        process = await asyncio.create_subprocess_exec(
            *(*COMMAND, *words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
            start_new_session=not windows,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) if windows else 0,
        )
        kill_first(process.pid)
        return cls(process)

    async def wait(self, report: Callable[[float, str], None]) -> int:
        """Wait for the end and return the exit code; `report` takes the percentage and the stage.

        If this process dies, the registration cannot write its progress any more and ends too.
        """
        assert self.process.stderr is not None
        async for line in _lines(self.process.stderr):
            word, _, rest = line.partition(" ")
            percent, _, stage = rest.partition(" ")
            if word == LINE and percent.isdigit():
                report(min(100.0, float(percent)), stage)
            elif line:
                self.lines.append(line)
        return await self.process.wait()

    async def stop(self) -> None:
        """End the process and those that it started: ask first, then kill."""
        self._signal(hard=False)
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.process.wait(), PATIENCE)
        self._signal(hard=True)  # also those that it started and that did not listen
        await self.process.wait()

    def _signal(self, *, hard: bool) -> None:
        with suppress(ProcessLookupError, PermissionError):
            if os.name == "nt":
                self.process.terminate()
            else:
                os.killpg(self.process.pid, signal.SIGKILL if hard else signal.SIGTERM)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Yield the lines of a stream; of a very long one only the end."""
    rest = b""
    while block := await stream.read(LONGEST_LINE):
        *complete, rest = (rest + block).split(b"\n")
        rest = rest[-LONGEST_LINE:]
        for line in complete:
            yield line.decode("utf-8", "replace").rstrip("\r")
    if rest:
        yield rest.decode("utf-8", "replace")


def why_it_failed(code: int, lines: Sequence[str]) -> RequestError:
    """Return in a sentence why a registration failed that ended with this exit code."""
    said = [line.removeprefix("regzoo: ") for line in lines if line.startswith("regzoo: ")]
    if code == 2 and said:
        return RequestError(said[-1], 422)
    last = next((line for line in reversed(lines) if line.strip()), "")
    if code == -KILLED or any(
        word in last for word in ("MemoryError", "out of memory", "allocate memory")
    ):
        return RequestError(
            "the registration was killed, most likely because the memory of the computer is not "
            "enough; try the effort fast, smaller images, or a computer with more memory",
            507,
        )
    if code < 0:
        return RequestError(
            f"the registration was ended from outside by signal {-code}; run it again"
        )
    return RequestError(
        "the registration ended because of a mistake in regzoo or in a library (exit code "
        f"{code}); the log of the server has the details",
        UNEXPECTED,
    )
