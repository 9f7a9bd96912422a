"""A Dask scheduler and its workers, as processes of this machine that a user could start."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from benchmarks.harness.processes import environment

HOST = "127.0.0.1"


def free_port() -> int:
    """Return a TCP port of this machine that no process listens to."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


class DaskProcesses:
    """`dask scheduler` and `dask worker` processes; their log is the file dask.log in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.address = f"tcp://{HOST}:{self.port}"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.scheduler = self.start_scheduler()

    def __enter__(self) -> DaskProcesses:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        """Start a scheduler at the same address."""
        words = ["--host", HOST, "--port", str(self.port), "--no-dashboard"]
        self.scheduler = self._start("dask_scheduler", *words)
        return self.scheduler

    def add_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker with the two threads that regzoo asks for."""
        words = [self.address, "--nthreads", "2", "--no-nanny", "--no-dashboard"]
        self.workers.append(self._start("dask_worker", *words))
        return self.workers[-1]

    def log(self) -> str:
        """Return what the processes have logged."""
        return (self.folder / "dask.log").read_text(errors="replace")

    def _start(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        code = f"from distributed.cli.{program} import main; main()"
        with (self.folder / "dask.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-c", code, *words],
                stdout=log,
                stderr=log,
                env=environment(1),
                cwd=self.folder,
            )
