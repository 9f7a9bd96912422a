"""Commands in processes of their own that do not import torch and the package again.

Importing them takes most of the time of a command on a small image. A server process imports them
once and forks for each command. The fork has the command's own folder, environment, and streams,
and ends like any interpreter. `python command_server.py SOCKET` starts the server; a program in
the folder that `commands` returns asks it to run `regzoo` or Python code.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULES = ("zoo.cli", "zoo.pipelines.register", "zoo.solvers.features.cpu_kernel", "scipy.ndimage")
CLIENT = """#!{python} -SE
import json, os, socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect({socket!r})
request = {{"kind": {kind!r}, "words": sys.argv[1:]}}
request |= {{"folder": os.getcwd(), "environment": dict(os.environ)}}
socket.send_fds(connection, [b"!"], [0, 1, 2])
connection.sendall(json.dumps(request).encode())
connection.shutdown(socket.SHUT_WR)
sys.exit(int(connection.makefile().read()))
"""


@contextmanager
def commands(folder: Path) -> Iterator[Path]:
    """Yield a folder with the programs `regzoo` and `run-python`, which a server runs.

    `run-python CODE` does what `python -c CODE` does.
    """
    address = str(folder / "socket")
    for name in ("regzoo", "run-python"):
        program = folder / name
        program.write_text(CLIENT.format(python=sys.executable, socket=address, kind=name))
        program.chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen([sys.executable, __file__, address], env=environment)
    try:
        while not Path(address).exists():
            assert server.poll() is None, "the server did not start"
            time.sleep(0.05)
        yield folder
    finally:
        server.kill()
        server.wait()


def serve(address: str) -> None:
    """Run the commands of clients, each in a fork, until this process is killed."""
    for module in MODULES:
        __import__(module)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{address}.new")
    listener.listen()
    Path(f"{address}.new").rename(address)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return handle(connection)
        connection.close()


def handle(connection: socket.socket) -> None:
    """Run one command in a fork of this fork, and tell the client its exit code."""
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    request = json.loads(connection.makefile("rb").read())
    if child := os.fork():
        _, status = os.waitpid(child, 0)
        connection.sendall(str(os.waitstatus_to_exitcode(status) % 256).encode())
        os._exit(0)
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    if request["kind"] == "regzoo":
        from zoo.cli import main

        sys.argv = ["regzoo", *request["words"]]
        main()
    else:
        sys.argv = ["-c"]
        sys.path.insert(0, "")
        exec(compile(request["words"][0], "<string>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file, which no command sees
    serve(sys.argv[1])
