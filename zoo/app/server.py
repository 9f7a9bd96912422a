"""The server of `regzoo app`: its parts, its start and its end."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from zoo.app.access import Access, AccessCheck
from zoo.app.changes import Changes
from zoo.app.data_folder import DataFolder
from zoo.app.inputs import Inputs
from zoo.app.jobs import Jobs
from zoo.app.pages import INDEX, script_hashes
from zoo.app.reader import Reader
from zoo.app.request_error import RequestError
from zoo.app.routes import ROUTES
from zoo.app.routes.requests import state_of
from zoo.app.run_watch import RunWatch
from zoo.app.state import ServerState, without_folders
from zoo.app.temporary import temporary_folder
from zoo.errors import UserError, on_one_line
from zoo.pipelines.run_folder import results_of

PORT = 8470
MOST_BYTES, MOST_BYTES_PUBLIC = 4_000_000_000, 200_000_000
LOOPBACK, EVERYWHERE = "127.0.0.1", "0.0.0.0"
GRACE = 3
"""Seconds that answers in progress have when the server ends."""


@dataclass(frozen=True)
class AppOptions:
    """What the user asked for. None leaves a value to the defaults, which depend on `public`."""

    port: int | None = None
    data: Path | None = None
    run: Path | None = None
    max_upload: int | None = None
    public: bool = False

    @property
    def most_bytes(self) -> int:
        """The largest upload."""
        return self.max_upload or (MOST_BYTES_PUBLIC if self.public else MOST_BYTES)


def serve(options: AppOptions, announce: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM. `announce` is called with the address once it answers.

    Uploads and results are in a temporary folder, which is removed at the end.
    """
    data = None if options.data is None else _data_folder(options.data)
    run = None if options.run is None else RunWatch.open(results_of(options.run))
    opened = listener(options)
    port = opened.getsockname()[1]
    access = Access(None if options.public else secrets.token_urlsafe(24), port)
    signal.signal(signal.SIGTERM, _exit)
    with opened, temporary_folder() as folder:
        state = server_state(folder, options, data, run)
        config = uvicorn.Config(
            application(state, access),
            log_level="warning",
            timeout_graceful_shutdown=GRACE,
            server_header=False,
        )
        query = "" if access.token is None else f"?token={access.token}"
        address = f"http://{LOOPBACK}:{port}/{query}"
        with suppress(KeyboardInterrupt):
            _Server(config, state.changes, lambda: announce(address)).run(sockets=[opened])


def server_state(
    folder: Path, options: AppOptions, data: DataFolder | None, run: RunWatch | None
) -> ServerState:
    """Return the parts of a server whose files are in `folder`."""
    changes = Changes()
    for name in ("inputs", "jobs"):
        (folder / name).mkdir()
    return ServerState(
        folder,
        Inputs(folder / "inputs", options.most_bytes, data),
        Jobs(folder / "jobs", changes, partial(without_folders, folder=folder, data=data)),
        Reader(),
        changes,
        run,
        options.public,
    )


def application(state: ServerState, access: Access) -> ASGIApp:
    """Return the application: every request passes the check of access first."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        state.jobs.start()
        state.reader.start()
        tasks = [state.tidy()] if state.public else []
        tasks += [] if state.run is None else [state.run.watch(state.changes)]
        running = [asyncio.create_task(task) for task in tasks]
        try:
            yield
        finally:
            for task in running:
                task.cancel()
            await state.jobs.stop()
            state.reader.close()

    handlers = {
        UserError: _refused,
        HTTPException: _http_error,
        ClientDisconnect: _gone,
        Exception: _mistake,
    }
    app = Starlette(routes=ROUTES, lifespan=lifespan, exception_handlers=handlers)
    app.state.server = state
    scripts = script_hashes(INDEX.read_text(encoding="utf-8")) if INDEX.exists() else ""
    return AccessCheck(app, access, scripts)


async def _refused(request: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, RequestError) else 422
    text = on_one_line(state_of(request).without_folders(str(error)))
    return JSONResponse({"error": text}, status)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = f"{request.method} {request.url.path[:200]}: {error.detail}"
    return JSONResponse({"error": text}, error.status_code, headers=error.headers)


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it: the browser was closed while it uploaded


async def _mistake(_: Request, error: Exception) -> Response:
    text = f"a mistake in regzoo ({type(error).__name__}); the log of the server has the details"
    return JSONResponse({"error": text}, 500)


class _Server(uvicorn.Server):
    """A server that announces its address, and that ends its streams when it ends."""

    def __init__(
        self, config: uvicorn.Config, changes: Changes, announce: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self.changes = changes
        self.announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer."""
        await super().startup(sockets)
        if self.started:
            self.announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams of events, which have no end of their own, and then everything else."""
        self.changes.close()
        await super().shutdown(sockets)


def _exit(number: int, _: FrameType | None) -> NoReturn:
    """End the process in an orderly way, so that the temporary folder is removed."""
    sys.exit(128 + number)


def _data_folder(folder: Path) -> DataFolder:
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; give --data a folder with images")
    return DataFolder(folder.resolve())


def listener(options: AppOptions) -> socket.socket:
    """Return a socket that listens on the port; without one on the usual port or a free one."""
    host = EVERYWHERE if options.public else LOOPBACK
    ports = [PORT, 0] if options.port is None else [options.port]
    for port in ports:
        opened = socket.socket()
        if os.name != "nt":  # where it would let another program take the port
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind((host, port))
        except (OSError, OverflowError) as error:
            opened.close()
            problem = error
        else:
            return opened
    raise UserError(f"cannot listen on --port {ports[0]}: {problem}; choose another one")
