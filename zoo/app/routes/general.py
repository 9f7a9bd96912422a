"""The page, what there is to choose, and the stream of events."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from zoo import __version__
from zoo.app.pages import page_file
from zoo.app.reading.results import FORMATS
from zoo.app.registration_request import choices, models
from zoo.app.request_error import RequestError
from zoo.app.routes.requests import state_of
from zoo.datasets.modality import MODALITIES


async def page(request: Request) -> Response:
    """Answer with a file of the page."""
    return page_file(request.url.path)


async def describe_app(request: Request) -> Response:
    """Describe the server and what can be chosen."""
    state, allowed = state_of(request), choices()
    return JSONResponse(
        {
            "version": __version__,
            "public": state.public,
            "data": state.inputs.data is not None,
            "run": state.run is not None,
            "max_upload": state.inputs.most_bytes,
            "choices": {
                "models": models(),
                "modalities": MODALITIES,
                "anatomies": allowed["anatomy"],
                "pairings": allowed["pairing"],
                "efforts": allowed["effort"],
                "points_spaces": allowed["points_space"],
                "transform_formats": [
                    {"name": name, "title": title} for name, title in FORMATS.items()
                ],
            },
        }
    )


async def events(request: Request) -> Response:
    """Answer with the stream of events, of everything or of one job."""
    state, only = state_of(request), request.query_params.get("job")
    if only is None and state.public:
        raise RequestError("name a registration with ?job=ID", 403)
    if only is not None:
        state.jobs[only]  # an unknown one is refused
    stream = state.changes.events(lambda: state.told(only), lambda: state.has_told_all(only))
    return StreamingResponse(stream, media_type="text/event-stream")
