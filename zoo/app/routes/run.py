"""The pairs of the run of `--run`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from zoo.app.reading.results import result_document
from zoo.app.reading.run_table import ADDRESS, run_document
from zoo.app.request_error import RequestError
from zoo.app.routes.requests import file_answer, state_of
from zoo.app.run_watch import RunWatch
from zoo.cohorts.record import RESULT
from zoo.cohorts.worker import THUMBNAIL


async def table(request: Request) -> Response:
    """Answer with the table of the pairs."""
    run = _run(request)
    document = await state_of(request).reader.call(run_document, run.folder, run.planned)
    return JSONResponse(document)


async def result(request: Request) -> Response:
    """Answer with the result of a pair."""
    folder = _pair(request)
    address = f"{ADDRESS}/{folder.name}"
    document = await state_of(request).reader.call(result_document, folder, address)
    return JSONResponse(document | {"name": folder.name, "command": None, "note": None})


async def viewer(request: Request) -> Response:
    """Answer with the document of the viewer for a pair."""
    state, folder = state_of(request), _pair(request)
    written = (folder / RESULT).stat().st_mtime_ns
    digest = hashlib.sha256(f"{folder.name} {written}".encode()).hexdigest()
    return await state.viewer_answer(folder, state.folder / f"viewer-{digest[:32]}.json")


async def thumbnail(request: Request) -> Response:
    """Answer with the small picture of a pair."""
    path = _pair(request) / THUMBNAIL
    if not path.is_file():
        raise RequestError("the pair has no picture", 404)
    return file_answer(path)


async def file(request: Request) -> Response:
    """Answer with a file of the result of a pair."""
    return file_answer(
        await state_of(request).result_file(_pair(request), request.path_params["name"])
    )


async def transform(request: Request) -> Response:
    """Answer with the transform of a pair in another format."""
    wanted = request.query_params.get("format", "")
    return file_answer(*await state_of(request).transform(_pair(request), wanted))


def _run(request: Request) -> RunWatch:
    run = state_of(request).run
    if run is None:
        raise RequestError("the server was started without --run", 404)
    return run


def _pair(request: Request) -> Path:
    """Return the folder of a pair, which is a folder of the run with a result."""
    run, name = _run(request), str(request.path_params["pair"])
    if name not in run.finished():
        raise RequestError(f"the run has no finished pair {name[:200]!r}", 404)
    return run.folder / name
