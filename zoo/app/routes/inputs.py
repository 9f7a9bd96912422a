"""Inputs: uploads, files of `--data`, what was detected about them, and previews."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from zoo.app.inputs import Input
from zoo.app.reading import describe
from zoo.app.request_error import RequestError
from zoo.app.routes.requests import JSON, id_of, object_of, require_upload, state_of, type_of
from zoo.app.state import ServerState


async def add_input(request: Request) -> Response:
    """Begin an input: an uploaded file, the folder of an upload, or a file of `--data`."""
    state = state_of(request)
    if type_of(request) == JSON:
        name = (await object_of(request)).get("path")
        if not isinstance(name, str):
            raise RequestError("the key path must be the name of a file in the folder of --data")
        return await _detected(state, state.inputs.of_data(name))
    announced = require_upload(request)
    input = state.inputs.begin(request.query_params.get("name", ""), announced)
    if request.query_params.get("folder") == "true":
        input.location.mkdir()
        return JSONResponse(input.to_json(), 201)
    await state.inputs.receive(input, request.stream())
    return await _detected(state, input)


async def add_file(request: Request) -> Response:
    """Add an uploaded file to the folder of an input."""
    announced, name = require_upload(request), request.query_params.get("name", "")
    inputs = state_of(request).inputs
    input = inputs[id_of(request)]
    inputs.check_member(input, name, announced)
    await inputs.receive(input, request.stream(), name)
    return Response(status_code=204)


async def complete_input(request: Request) -> Response:
    """End the folder of an upload."""
    state = state_of(request)
    return await _detected(state, state.inputs[id_of(request)], 200)


async def choose_series(request: Request) -> Response:
    """Let an input be one series of a DICOM folder."""
    state = state_of(request)
    input, uid = state.inputs[id_of(request)], (await object_of(request)).get("uid")
    state.inputs.choose_series(input, str(uid))
    return await _detected(state, input, 200)


async def show_input(request: Request) -> Response:
    """Answer with an input."""
    return JSONResponse(state_of(request).inputs[id_of(request)].to_json())


async def remove_input(request: Request) -> Response:
    """Remove an input that no job needs."""
    state, id = state_of(request), id_of(request)
    state.inputs[id]  # an unknown one is refused
    if id in state.jobs.inputs_in_use():
        raise RequestError("a registration uses this file; remove the registration first", 409)
    state.inputs.remove(id)
    return Response(status_code=204)


async def preview(request: Request) -> Response:
    """Answer with an image for the viewer."""
    state = state_of(request)
    input = state.inputs[id_of(request)]
    return JSONResponse(await state.reader.call(describe.preview, input.path, input.name))


async def list_data(request: Request) -> Response:
    """List a folder of `--data`."""
    data = state_of(request).inputs.data
    if data is None:
        raise RequestError("the server was started without --data", 404)
    return JSONResponse(data.list(request.query_params.get("path", "")))


async def list_pairs(request: Request) -> Response:
    """List the pairs of the dataset in `--data`."""
    state = state_of(request)
    data = state.inputs.data
    pairs = [] if data is None else await state.reader.call(describe.pairs_of, data)
    return JSONResponse({"pairs": pairs})


async def _detected(state: ServerState, input: Input, status: int = 201) -> Response:
    """Answer with an input after a look into it; an archive is unpacked before.

    An archive that cannot be unpacked safely is removed.
    """
    input.complete = True
    if input.location.suffix.lower() == ".zip":
        archive, folder = input.location, state.inputs.folder_for(input)
        try:
            input.location = await state.reader.call(
                describe.unpack, archive, folder, state.inputs.most_bytes
            )
        except BaseException:
            state.inputs.remove(input.id)
            raise
        if input.source == "upload":
            archive.unlink()
    detected = await state.reader.call(describe.describe, input.path)
    if detected["problem"] is not None:
        detected["problem"] = state.without_folders(detected["problem"])
    input.detected = detected
    return JSONResponse(input.to_json(), status)
