"""Plans, and the registrations that run, wait or have ended."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from zoo.app.jobs import Job
from zoo.app.reading.planning import plan_document
from zoo.app.reading.results import result_document
from zoo.app.registration_request import parse_request
from zoo.app.request_error import RequestError
from zoo.app.routes.requests import file_answer, id_of, json_of, state_of


async def plan(request: Request) -> Response:
    """Answer with the plan of a request, and with the same as a command."""
    state = state_of(request)
    chosen = state.chosen(parse_request(await json_of(request)))
    document = await state.reader.call(plan_document, chosen.options())
    return JSONResponse(document | chosen.same_as())


async def add_job(request: Request) -> Response:
    """Add a registration to the queue."""
    state = state_of(request)
    job = state.jobs.add(state.chosen(parse_request(await json_of(request))))
    return JSONResponse(state.jobs.document(job), 201)


async def list_jobs(request: Request) -> Response:
    """List the jobs; a public server only counts them."""
    state = state_of(request)
    listed = [] if state.public else state.jobs.documents()
    return JSONResponse({"jobs": listed, **state.jobs.counts()})


async def show_job(request: Request) -> Response:
    """Answer with a job."""
    jobs = state_of(request).jobs
    return JSONResponse(jobs.document(jobs[id_of(request)]))


async def cancel_job(request: Request) -> Response:
    """Cancel a job."""
    jobs = state_of(request).jobs
    job = jobs[id_of(request)]
    await jobs.cancel(job)
    return JSONResponse(jobs.document(job))


async def remove_job(request: Request) -> Response:
    """Remove an ended job."""
    jobs = state_of(request).jobs
    jobs.remove(jobs[id_of(request)])
    return Response(status_code=204)


async def result(request: Request) -> Response:
    """Answer with the result of a job."""
    job = _done(request)
    address = f"/api/jobs/{job.id}"
    document = await state_of(request).reader.call(result_document, job.result, address)
    names = {role: job.chosen.names[role] for role in ("fixed", "moving")}
    return JSONResponse(document | names | {"name": job.chosen.name} | job.chosen.same_as())


async def viewer(request: Request) -> Response:
    """Answer with the document of the viewer for a job."""
    job = _done(request)
    return await state_of(request).viewer_answer(job.result, job.folder / "viewer.json")


async def file(request: Request) -> Response:
    """Answer with a file of the result of a job."""
    path = await state_of(request).result_file(_done(request).result, request.path_params["name"])
    return file_answer(path)


async def transform(request: Request) -> Response:
    """Answer with the transform of a job in another format."""
    wanted = request.query_params.get("format", "")
    return file_answer(*await state_of(request).transform(_done(request).result, wanted))


def _done(request: Request) -> Job:
    """Return the job of a request, which has a result."""
    job = state_of(request).jobs[id_of(request)]
    if job.state != "done":
        raise RequestError(f"the registration has no result; it is {job.state}", 409)
    return job
