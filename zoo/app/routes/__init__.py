"""The addresses of the server, and the functions that answer them."""

from starlette.routing import Route

from zoo.app.routes import general, inputs, jobs, run

ROUTES = [
    Route("/", general.page),
    Route("/page/{name}", general.page),
    Route("/viewer/{name}", general.page),
    Route("/vendor/{name}", general.page),
    Route("/api/app", general.describe_app),
    Route("/api/events", general.events),
    Route("/api/data", inputs.list_data),
    Route("/api/data/pairs", inputs.list_pairs),
    Route("/api/inputs", inputs.add_input, methods=["POST"]),
    Route("/api/inputs/{id}", inputs.show_input),
    Route("/api/inputs/{id}", inputs.remove_input, methods=["DELETE"]),
    Route("/api/inputs/{id}/files", inputs.add_file, methods=["PUT"]),
    Route("/api/inputs/{id}/complete", inputs.complete_input, methods=["POST"]),
    Route("/api/inputs/{id}/series", inputs.choose_series, methods=["POST"]),
    Route("/api/inputs/{id}/preview", inputs.preview),
    Route("/api/plan", jobs.plan, methods=["POST"]),
    Route("/api/jobs", jobs.list_jobs),
    Route("/api/jobs", jobs.add_job, methods=["POST"]),
    Route("/api/jobs/{id}", jobs.show_job),
    Route("/api/jobs/{id}", jobs.remove_job, methods=["DELETE"]),
    Route("/api/jobs/{id}/cancel", jobs.cancel_job, methods=["POST"]),
    Route("/api/jobs/{id}/result", jobs.result),
    Route("/api/jobs/{id}/viewer", jobs.viewer),
    Route("/api/jobs/{id}/files/{name:path}", jobs.file),
    Route("/api/jobs/{id}/transform", jobs.transform),
    Route("/api/run", run.table),
    Route("/api/run/pairs/{pair}", run.result),
    Route("/api/run/pairs/{pair}/viewer", run.viewer),
    Route("/api/run/pairs/{pair}/thumbnail", run.thumbnail),
    Route("/api/run/pairs/{pair}/files/{name:path}", run.file),
    Route("/api/run/pairs/{pair}/transform", run.transform),
]
