"""A client of the server of `regzoo app` inside the test process, without a port."""

import asyncio
from dataclasses import replace

from starlette.testclient import TestClient

from zoo.app.access import Access
from zoo.app.data_folder import DataFolder
from zoo.app.run_watch import RunWatch
from zoo.app.server import AppOptions, application, server_state
from zoo.io.volume import write_volume
from zoo.synthesis.phantom import make_pair

PORT, TOKEN = 8470, "the-token-of-the-tests"
UPLOAD = {"Content-Type": "application/octet-stream"}


class ReaderHere:
    """Stands in for the helper process, which takes seconds to start."""

    def start(self):
        pass

    async def call(self, function, *arguments):
        return await asyncio.to_thread(function, *arguments)

    def close(self):
        pass


def client(folder, *, data=None, run=None, public=False, max_upload=None, reader=None):
    """Return a client with the token; use it as a context, in which jobs run."""
    options = AppOptions(max_upload=max_upload, public=public)
    state = server_state(
        folder.resolve(),
        options,
        None if data is None else DataFolder(data.resolve()),
        None if run is None else RunWatch.open(run),
    )
    state = replace(state, reader=reader or ReaderHere())
    access = Access(None if public else TOKEN, PORT)
    app = application(state, access)
    made = TestClient(app, base_url=f"http://127.0.0.1:{PORT}", raise_server_exceptions=False)
    made.state = state
    if not public:
        made.cookies.set(f"regzoo-{PORT}", TOKEN, domain="127.0.0.1")
    return made


def upload(client, path, name=None):
    """Upload a file and return the answer."""
    params = {"name": path.name if name is None else name}
    return client.post("/api/inputs", params=params, content=path.read_bytes(), headers=UPLOAD)


def error_of(answer, status):
    """Return the sentence of an answer that refuses, which has this status."""
    assert answer.status_code == status, answer.text[:500]
    assert list(answer.json()) == ["error"]
    text = answer.json()["error"]
    assert "Traceback" not in text
    assert "\n" not in text
    return text


def write_phantom(folder, shape=(24, 24, 24)):
    """Write a phantom pair with labels and landmarks, and return the files by their role."""
    pair = make_pair(2, shape=shape)
    files = {}
    for side in ("fixed", "moving"):
        grid = getattr(pair, f"{side}_grid")
        for role, data in ((side, side), (f"{side}_labels", f"{side}_labels")):
            files[role] = folder / f"{role}.nii.gz"
            write_volume(files[role], getattr(pair, data), grid)
        points = files[f"{side}_points"] = folder / f"{side}_points.csv"
        rows = (",".join(map(str, row)) for row in getattr(pair, f"{side}_points").tolist())
        points.write_text("\n".join(["x,y,z", *rows]) + "\n")
    return files


def upload_all(client, files):
    """Upload files by their role, and return a request with their ids."""
    return {role: upload(client, path).json()["id"] for role, path in files.items()}
