"""The queue of registrations, with small programs in place of `regzoo register`."""

import json
import logging
import os
import sys
import time

import pytest
from support.app_client import UPLOAD, client, error_of

from zoo.app import job_process, jobs

WAIT = "import time; time.sleep(600)"
DONE = """
import json, pathlib, sys
out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
out.mkdir()
(out / "result.json").write_text(json.dumps({"quality": "check"}))
"""


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(job_process, "PATIENCE", 0.5)
    with client(tmp_path) as made:
        made.register = lambda text: monkeypatch.setattr(
            job_process, "COMMAND", (sys.executable, "-c", text)
        )
        yield made


def inputs(server):
    """Upload two files that nobody looks into."""
    names = {"fixed": "one.nii.gz", "moving": "two.nii.gz"}
    return {
        role: server.post(
            "/api/inputs", params={"name": name}, content=b"x", headers=UPLOAD
        ).json()["id"]
        for role, name in names.items()
    }


def start(server, text, request=None):
    """Start a job that runs a program, and return its id once it runs."""
    server.register(text)
    id = server.post("/api/jobs", json=request or inputs(server)).json()["id"]
    return wait(server, id, "running")["id"]


def wait(server, id, *states):
    """Wait until a job has one of these states and return its document."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        job = server.get(f"/api/jobs/{id}").json()
        if job["state"] in states:
            return job
        time.sleep(0.02)
    raise AssertionError(job)


def ended(server, text):
    """Run a program as a job and return the document of the ended job."""
    id = server.register(text) or server.post("/api/jobs", json=inputs(server)).json()["id"]
    return wait(server, id, "done", "failed", "cancelled")


def folders(server):
    return list((server.state.folder / "jobs").iterdir())


def test_one_job_runs_at_a_time_in_the_order_of_arrival(server):
    request = inputs(server)
    first = start(server, WAIT, request)
    second, third = (server.post("/api/jobs", json=request).json()["id"] for _ in range(2))
    listed = server.get("/api/jobs").json()
    assert (listed["running"], listed["waiting"]) == (1, 2)
    assert [(job["id"], job["state"], job["ahead"]) for job in listed["jobs"]] == [
        (third, "waiting", 2),
        (second, "waiting", 1),
        (first, "running", 0),
    ]
    assert server.post(f"/api/jobs/{first}/cancel").json()["state"] == "cancelled"
    wait(server, second, "running")
    assert server.get(f"/api/jobs/{third}").json()["ahead"] == 1


def test_a_job_that_is_done_has_the_quality_of_its_result(server):
    job = ended(server, DONE)
    assert (job["state"], job["quality"], job["error"]) == ("done", "check", None)
    assert job["name"] == "two.nii.gz to one.nii.gz"
    assert job["inputs"] == {"fixed": "one.nii.gz", "moving": "two.nii.gz"}


def test_progress_is_read_from_lines_and_nothing_else_disturbs_it(server):
    text = (
        "import sys, time; w = sys.stderr.buffer.write\n"
        "w(b'progress 20 first stage\\nprogress x y\\nWarning: \\xff\\xfe\\n')\n"
        "w(b'z' * 300000 + b'\\n')\n"
        "w(b'progress 250 last stage\\n'); sys.stderr.flush(); time.sleep(600)"
    )
    id = start(server, text)
    until = time.monotonic() + 30
    while (job := server.get(f"/api/jobs/{id}").json())["percent"] != 100:
        assert time.monotonic() < until, job
    assert job["stage"] == "last stage"


def test_a_refusal_of_the_command_is_shown_with_the_names_of_the_user(server):
    text = (
        "import sys\nprint('regzoo: quality ok: first', file=sys.stderr)\n"
        "print(f'regzoo: {sys.argv[2]} is damaged; use another', file=sys.stderr); sys.exit(2)"
    )
    job = ended(server, text)
    assert (job["state"], job["error"]) == ("failed", "one.nii.gz is damaged; use another")
    assert not folders(server)
    assert "failed" in error_of(server.get(f"/api/jobs/{job['id']}/result"), 409)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
def test_a_killed_registration_does_not_end_the_server(server):
    job = ended(server, "import os; os.kill(os.getpid(), 9)")
    assert job["state"] == "failed"
    assert "memory" in job["error"]
    assert not folders(server)
    assert ended(server, DONE)["state"] == "done"


def test_one_that_is_ended_by_somebody_says_so(server):
    assert "signal 15" in ended(server, "import os; os.kill(os.getpid(), 15)")["error"]


@pytest.mark.parametrize("error", ["MemoryError()", "RuntimeError('CUDA out of memory')"])
def test_an_error_for_want_of_memory_is_explained(server, error):
    assert "memory" in ended(server, f"raise {error}")["error"]


def test_the_traceback_of_a_mistake_is_in_the_log_only(server, caplog):
    with caplog.at_level(logging.ERROR):
        job = ended(server, "secret = 1 / 0")
    assert job["state"] == "failed"
    assert "Traceback" not in json.dumps(job)
    assert "ZeroDivisionError" not in json.dumps(job)
    assert "ZeroDivisionError" in caplog.text


def test_a_result_that_is_missing_is_a_failure(server):
    assert ended(server, "pass")["state"] == "failed"


def test_a_program_that_cannot_start_is_a_failure(server, monkeypatch):
    monkeypatch.setattr(job_process, "COMMAND", ("/no/such/python",))
    id = server.post("/api/jobs", json=inputs(server)).json()["id"]
    assert wait(server, id, "failed")["error"]
    assert ended(server, DONE)["state"] == "done"


def test_a_waiting_job_is_cancelled_at_once(server):
    request = inputs(server)
    start(server, WAIT, request)
    second = server.post("/api/jobs", json=request).json()["id"]
    assert server.post(f"/api/jobs/{second}/cancel").json()["state"] == "cancelled"
    assert server.get("/api/jobs").json()["waiting"] == 0


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


FAMILY = """
import signal, subprocess, sys, time
{ignore}
child = subprocess.Popen([sys.executable, "-c", "import signal, time; {ignore}; time.sleep(600)"])
print("progress 1", child.pid, file=sys.stderr, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no groups of processes")
@pytest.mark.parametrize("ignore", ["pass", "signal.signal(signal.SIGTERM, signal.SIG_IGN)"])
def test_a_running_job_is_cancelled_with_all_its_processes(server, ignore):
    id = start(server, FAMILY.format(ignore=ignore))
    until = time.monotonic() + 30
    while server.get(f"/api/jobs/{id}").json()["percent"] is None:
        assert time.monotonic() < until
    time.sleep(0.3)  # the grandchild sets its handler
    grandchild = int(server.get(f"/api/jobs/{id}").json()["stage"])
    assert alive(grandchild)
    job = server.post(f"/api/jobs/{id}/cancel").json()
    assert (job["state"], job["error"]) == ("cancelled", None)
    assert not folders(server)
    until = time.monotonic() + 10
    while alive(grandchild) and time.monotonic() < until:
        time.sleep(0.05)
    status = f"/proc/{grandchild}/stat"
    assert not alive(grandchild) or open(status).read().split()[2] == "Z"  # noqa: PTH123, SIM115


def test_cancelling_an_ended_job_changes_nothing(server):
    job = ended(server, DONE)
    assert server.post(f"/api/jobs/{job['id']}/cancel").json() == job


def test_the_queue_has_an_end(server, monkeypatch):
    monkeypatch.setattr(jobs, "MOST_WAITING", 2)
    request = inputs(server)
    start(server, WAIT, request)
    for _ in range(2):
        assert server.post("/api/jobs", json=request).status_code == 201
    assert "later" in error_of(server.post("/api/jobs", json=request), 429)


def test_an_ended_job_is_removed_with_its_files_and_then_its_inputs(server):
    request = inputs(server)
    server.register(DONE)
    id = server.post("/api/jobs", json=request).json()["id"]
    wait(server, id, "done")
    error_of(server.delete(f"/api/inputs/{request['fixed']}"), 409)
    assert server.delete(f"/api/jobs/{id}").status_code == 204
    error_of(server.get(f"/api/jobs/{id}"), 404)
    assert not folders(server)
    assert server.delete(f"/api/inputs/{request['fixed']}").status_code == 204
    error_of(server.post("/api/jobs", json=request), 404)


def test_a_running_job_is_not_removed(server):
    error_of(server.delete(f"/api/jobs/{start(server, WAIT)}"), 409)


def events(text):
    """Return the events of a stream as (name, data)."""
    parts = [part for part in text.split("\n\n") if part and not part.startswith(":")]
    pairs = [part.split("\n") for part in parts]
    return [(e.removeprefix("event: "), json.loads(d.removeprefix("data: "))) for e, d in pairs]


def test_the_events_of_a_job_begin_with_its_state_and_end_with_its_end(server):
    text = "import sys, time; time.sleep(1); print('progress 30 x', file=sys.stderr)\n" + DONE
    server.register(text)
    id = server.post("/api/jobs", json=inputs(server)).json()["id"]
    answer = server.get("/api/events", params={"job": id})
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = [data for name, data in events(answer.text) if name == "job"]
    assert {data["id"] for data in told} == {id}
    assert told[0]["state"] in ("waiting", "running")
    assert 30 in [data["percent"] for data in told]
    assert (told[-1]["state"], told[-1]["quality"]) == ("done", "check")
    again = events(server.get("/api/events", params={"job": id}).text)  # a reload finds the same
    assert [data["state"] for name, data in again if name == "job"] == ["done"]
    error_of(server.get("/api/events", params={"job": "x"}), 404)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals")
def test_no_registration_outlives_the_server(tmp_path, monkeypatch):
    text = "import os, sys, time; print('progress 1', os.getpid(), file=sys.stderr, flush=True)\n"
    monkeypatch.setattr(job_process, "COMMAND", (sys.executable, "-c", f"{text}{WAIT}"))
    with client(tmp_path) as server:
        request = inputs(server)
        first, second = (server.post("/api/jobs", json=request).json()["id"] for _ in range(2))
        while not (job := server.get(f"/api/jobs/{first}").json())["percent"]:
            time.sleep(0.02)
    assert not alive(int(job["stage"]))
    assert {server.state.jobs[id].state for id in (first, second)} == {"cancelled"}


def test_visitors_of_a_public_server_do_not_see_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr(job_process, "COMMAND", (sys.executable, "-c", DONE))
    with client(tmp_path, public=True) as server:
        id = server.post("/api/jobs", json=inputs(server)).json()["id"]
        wait(server, id, "done")
        assert server.get("/api/jobs").json() == {"jobs": [], "running": 0, "waiting": 0}
        error_of(server.get("/api/events"), 403)
        assert id in server.get("/api/events", params={"job": id}).text


def test_a_public_server_removes_what_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(job_process, "COMMAND", (sys.executable, "-c", DONE))
    monkeypatch.setattr("zoo.app.state.TIDY_SECONDS", 0.02)
    with client(tmp_path, public=True) as server:
        request = inputs(server)
        id = server.post("/api/jobs", json=request).json()["id"]
        wait(server, id, "done")
        time.sleep(0.1)
        assert server.get(f"/api/jobs/{id}").status_code == 200
        monkeypatch.setattr("zoo.app.state.UNUSED_SECONDS", 0.01)
        until = time.monotonic() + 20
        while [path for path in tmp_path.rglob("*") if path.is_file()]:
            assert time.monotonic() < until
            time.sleep(0.05)
        error_of(server.get(f"/api/jobs/{id}"), 404)
        error_of(server.get(f"/api/inputs/{request['fixed']}"), 404)
