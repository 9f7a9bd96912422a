"""The server as a process of its own: its start, the death of its helpers, and its end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
from filelock import FileLock
from support.app_client import write_phantom
from support.command_line import refusal

from zoo.app.server import AppOptions, listener
from zoo.app.temporary import LOCK, remove_leftovers

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the tests send signals")


class Server:
    """A running `regzoo app`, whose temporary folder is inside `folder`."""

    def __init__(self, folder, *words):
        environment = os.environ | {"TMPDIR": str(folder)}
        command = [sys.executable, "-m", "zoo", "app", "--port", "0", *map(str, words)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        self.line = self.process.stdout.readline()
        self.address, self.token = re.search(r"(http://\S+)/\?token=(\S+)", self.line).groups()

    def request(self, path, body=None, method=None, kind="application/json"):
        """Return the status and the document of an answer."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        request = urllib.request.Request(f"{self.address}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, json.loads(answer.read() or "null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def upload(self, path):
        kind = "application/octet-stream"
        url = f"/api/inputs?name={path.name}"
        return self.request(url, path.read_bytes(), "POST", kind)

    def children(self):
        """Return the processes that the server has started, with all below them."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def registration(self):
        """Return the process of the running job."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            for child in self.children():
                if "register" in child.cmdline():
                    return child
            time.sleep(0.05)
        raise AssertionError("no job is running")

    def wait(self, id, *states):
        until = time.monotonic() + 120
        while (job := self.request(f"/api/jobs/{id}")[1])["state"] not in states:
            assert time.monotonic() < until, job
            time.sleep(0.1)
        return job

    def stop(self, number):
        """Send a signal and return the exit code and what was written to standard error."""
        self.process.send_signal(number)
        _, error = self.process.communicate(timeout=60)
        return self.process.returncode, error


def gone(processes):
    """Wait until all processes have ended."""
    return not psutil.wait_procs(processes, timeout=60)[1]


@pytest.fixture
def files(tmp_path):
    (tmp_path / "files").mkdir()
    return write_phantom(tmp_path / "files", shape=(64, 64, 64))


@pytest.fixture
def server(tmp_path):
    (tmp_path / "temporary").mkdir()
    started = Server(tmp_path / "temporary")
    yield started
    started.process.kill()
    started.process.communicate()


def begin_job(server, files):
    """Upload two images, and return the id of a job that runs."""
    request = {role: server.upload(files[role])[1]["id"] for role in ("fixed", "moving")}
    return server.request("/api/jobs", request | {"effort": "best"})[1]["id"]


@pytest.mark.slow
def test_the_server_survives_its_helpers_and_leaves_nothing(server, files, tmp_path):
    assert server.line.count("\n") == 1
    assert server.address.startswith("http://127.0.0.1:")
    assert server.upload(files["fixed"])[1]["image"]["shape"] == [64, 64, 64]

    (reader,) = (c for c in server.children() if "spawn_main" in " ".join(c.cmdline()))
    score = Path(f"/proc/{reader.pid}/oom_score_adj")
    assert not score.exists() or score.read_text().strip() == "1000"
    reader.kill()
    status, document = server.upload(files["fixed"])
    assert (status, "memory" in document["error"]) == (507, True)
    assert server.upload(files["fixed"])[0] == 201

    id = begin_job(server, files)
    registration = server.registration()
    registration.kill()
    assert "memory" in server.wait(id, "failed")["error"]

    id = begin_job(server, files)
    registration = server.registration()
    assert server.request(f"/api/jobs/{id}/cancel", {}, "POST")[1]["state"] == "cancelled"
    assert gone([registration])

    begin_job(server, files)
    registration = server.registration()
    started = server.children()
    code, error = server.stop(signal.SIGTERM)
    assert code == 128 + signal.SIGTERM
    assert gone([registration, *started])
    assert not list((tmp_path / "temporary").glob("regzoo-app-*"))
    assert "Traceback" not in error


def test_ctrl_c_ends_the_server_quietly(server, tmp_path):
    assert server.request("/api/app")[0] == 200
    with urllib.request.urlopen(
        urllib.request.Request(
            f"{server.address}/api/events", headers={"Authorization": f"Bearer {server.token}"}
        ),
        timeout=60,
    ) as stream:
        assert stream.readline() == b"event: queue\n"
        code, error = server.stop(signal.SIGINT)  # the open stream does not hold it up
    assert code == 0
    assert error == ""
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.slow
def test_a_server_that_is_killed_leaves_no_process_behind(server, files, tmp_path):
    begin_job(server, files)
    server.registration()
    started = server.children()
    server.process.kill()
    assert gone(started)
    (folder,) = (tmp_path / "temporary").glob("regzoo-app-*")
    with FileLock(folder / LOCK, timeout=0):
        remove_leftovers(tmp_path / "temporary")
        assert folder.exists()  # it belongs to somebody who is running
    remove_leftovers(tmp_path / "temporary")
    assert not folder.exists()


def test_only_leftovers_of_servers_are_removed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / LOCK).touch()
    (tmp_path / "regzoo-app-link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "regzoo-app-new").mkdir()  # a server that has not taken its lock yet
    (tmp_path / "regzoo-app-old").mkdir()
    (tmp_path / "regzoo-app-old" / LOCK).touch()
    remove_leftovers(tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["elsewhere", "regzoo-app-link", "regzoo-app-new"]


def test_the_port_is_the_one_that_was_asked_for(capsys, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"--port {port}" in refusal(capsys, "app", "--port", port)
    assert "--port" in refusal(capsys, "app", "--port", 70000)


def test_only_a_public_server_listens_on_all_addresses():
    for public, host in ((False, "127.0.0.1"), (True, "0.0.0.0")):
        with listener(AppOptions(port=0, public=public)) as made:
            assert made.getsockname()[0] == host


def test_without_a_port_a_free_one_is_found(monkeypatch):
    with listener(AppOptions(port=0)) as taken:
        taken.listen()
        monkeypatch.setattr("zoo.app.server.PORT", taken.getsockname()[1])
        with listener(AppOptions()) as made:
            assert made.getsockname()[1] != taken.getsockname()[1]


def test_folders_that_do_not_exist_are_refused(capsys, tmp_path):
    assert "--data" in refusal(capsys, "app", "--data", tmp_path / "nothing")
    assert "--run" in refusal(capsys, "app", "--run", tmp_path / "nothing")
    assert "--max-upload" in refusal(capsys, "app", "--max-upload", "large")


def test_missing_libraries_are_named(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "starlette", None)
    assert "regzoo[app]" in refusal(capsys, "app")
