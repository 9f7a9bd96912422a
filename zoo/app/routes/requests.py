"""What the answers share: the state of the server, bodies of requests, and files as downloads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse

from zoo.app.request_error import RequestError
from zoo.app.state import ServerState

MOST_JSON = 1 << 20
UPLOAD, JSON = "application/octet-stream", "application/json"
SHOWN = {".png": "image/png", ".jpg": "image/jpeg"}
"""The files of a result that a browser shows; all others are downloads."""


def state_of(request: Request) -> ServerState:
    """Return the state of the server."""
    state: ServerState = request.app.state.server
    return state


def id_of(request: Request) -> str:
    """Return the id in the address of a request."""
    return str(request.path_params["id"])


def type_of(request: Request) -> str:
    """Return the type of the body of a request."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def require_upload(request: Request) -> int | None:
    """Refuse a body that is not the bytes of a file; return its length if that is announced."""
    if type_of(request) != UPLOAD:
        raise RequestError(f"the Content-Type of an upload must be {UPLOAD}", 415)
    text = request.headers.get("content-length", "")
    return int(text) if text.isdecimal() else None


async def json_of(request: Request) -> Any:
    """Return the JSON document in the body of a request."""
    if type_of(request) != JSON:
        raise RequestError(f"the Content-Type must be {JSON}", 415)
    body = bytearray()
    async for block in request.stream():
        body += block
        if len(body) > MOST_JSON:
            raise RequestError(f"the document has more than {MOST_JSON} bytes", 413)
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise RequestError("the body of the request is not JSON") from None


async def object_of(request: Request) -> dict[str, Any]:
    """Return the JSON object in the body of a request."""
    document = await json_of(request)
    if not isinstance(document, dict):
        raise RequestError("the body of the request is not a JSON object")
    return document


def file_answer(path: Path, after: BackgroundTask | None = None) -> FileResponse:
    """Return a file of a result: a picture, or a download that no browser opens as a page."""
    kind = SHOWN.get(path.suffix.lower())
    return FileResponse(
        path,
        media_type=kind or UPLOAD,
        filename=path.name,
        content_disposition_type="inline" if kind else "attachment",
        headers={"Content-Security-Policy": "sandbox; default-src 'none'"},
        background=after,
    )
