"""The app: a registration by its addresses, as its page asks for one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from promised.promise import Place, Promise, ensure, phantom

LONGEST = 600  # seconds that a job may take


class Client:
    """Sends requests with the token of a running app."""

    def __init__(self, printed: str) -> None:
        found = re.search(r"(http://\S+?)/\?token=(\S+)", printed)
        ensure(found is not None, f"no address was printed, but {printed!r}")
        assert found is not None
        self.root, self.token = found.groups()

    def ask(self, address: str, body: bytes | None = None, kind: str = "application/json") -> Any:
        """Return the document of an answer; a request with a body is a POST."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        request = urllib.request.Request(self.root + address, body, headers)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def upload(self, file: Path) -> str:
        """Send a file and return the id of the input."""
        address = f"/api/inputs?name={file.name}"
        return str(self.ask(address, file.read_bytes(), "application/octet-stream")["id"])

    def register(self, **request: str) -> dict[str, Any]:
        """Register and return the job that has ended."""
        job = self.ask("/api/jobs", json.dumps(request).encode())
        until = time.monotonic() + LONGEST
        while job["state"] in ("waiting", "running") and time.monotonic() < until:
            time.sleep(0.5)
            job = self.ask(f"/api/jobs/{job['id']}")
        return dict(job)


def the_app_gives_the_same(place: Place) -> str:
    """A registration in `regzoo app` has the figures of the command, and its files go with it."""
    files = phantom(place.shared / "phantom-t1")
    pair = {name: files[name] for name in ("fixed", "moving")}
    command = place.register(pair, "command", "--report", "none", "--effort", "fast")
    with subprocess.Popen(
        [sys.executable, "-m", "zoo", "app", "--port", "0"],
        cwd=place.folder,
        env=place.environment() | {"TMPDIR": str(place.folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            client = Client(server.stdout.readline())
            inputs = {name: client.upload(file) for name, file in pair.items()}
            job = client.register(**inputs, effort="fast")
            ensure(job["state"] == "done", f"the job is {job['state']}: {job['error']}")
            result = client.ask(f"/api/jobs/{job['id']}/result")
        finally:
            server.terminate()
            server.wait(30)
    same = result["figures"] == command["figures"]
    ensure(same, f"figures {result['figures']}, those of the command are {command['figures']}")
    left = [path.name for path in place.folder.glob("regzoo-app*")]
    ensure(not left, f"{left} is left in the temporary folder")
    return f"quality {result['quality']}, {len(result['figures'])} equal figures, no files left"


APP: tuple[Promise, ...] = (the_app_gives_the_same,)
