"""The app as a user starts it: `regzoo app` in a process of its own."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class RunningApp:
    """An app that answers: the address with its token, and its process."""

    address: str
    process: subprocess.Popen[str]

    @property
    def root(self) -> str:
        """The address without the token."""
        return self.address.partition("?")[0]

    def workers(self) -> list[psutil.Process]:
        """Return the processes of registrations that run now."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if "register" in child.cmdline()]


@contextmanager
def running_app(*words: object) -> Iterator[RunningApp]:
    """Start `regzoo app` with these options on a free port, and end it with SIGTERM."""
    command = [sys.executable, "-m", "zoo", "app", "--port", "0", *map(str, words)]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://\S+", line)
            if found is None:
                log.seek(0)
                raise AssertionError(f"the app did not start: {line}{log.read()}")
            yield RunningApp(found[0], process)
        finally:
            process.terminate()
            process.wait(30)
