"""Downloading a file from an address: resuming, refusals, error messages."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from support.loopback import Fault

from zoo.errors import UserError
from zoo.hub import download as module
from zoo.hub.download import check_url, download

DATA = os.urandom(1_500_000)


@pytest.fixture
def url(hub):
    hub.files["weights.bin"] = DATA
    return f"{hub.url}/files/weights.bin"


@pytest.fixture
def target(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_WAITS_SECONDS", (0.01,))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return tmp_path / "weights.bin"


def ranges(hub):
    return [headers.get("range") for _, path, headers in hub.requests if "/files/" in path]


def test_a_download_leaves_the_complete_file_and_nothing_else(hub, url, target):
    download(url, target)
    assert target.read_bytes() == DATA
    assert [p.name for p in target.parent.iterdir()] == ["weights.bin"]
    assert "authorization" not in hub.requests[0][2]  # the Hub's token is the Hub's alone


def test_broken_connections_are_resumed_within_one_run(hub, url, target):
    hub.faults = [Fault("/files/", times=3, drop_after=400_000)]
    download(url, target)
    assert target.read_bytes() == DATA
    assert ranges(hub) == [None, "bytes=400000-", "bytes=800000-", "bytes=1200000-"]


def test_a_later_run_resumes_what_an_earlier_one_left(hub, url, target):
    hub.faults = [
        Fault("/files/", times=1, drop_after=400_000),
        Fault("/files/", times=2, drop_after=0),
    ]
    with pytest.raises(UserError, match="run the command again to resume from byte 400000"):
        download(url, target)
    assert not target.exists()
    download(url, target)
    assert target.read_bytes() == DATA
    assert ranges(hub)[-1] == "bytes=400000-"


def test_a_download_is_not_resumed_if_the_file_has_changed(hub, url, target):
    hub.faults = [
        Fault("/files/", times=1, drop_after=400_000),
        Fault("/files/", times=2, drop_after=0),
    ]
    with pytest.raises(UserError):
        download(url, target)
    hub.files["weights.bin"] = DATA[::-1]
    download(url, target)
    assert target.read_bytes() == DATA[::-1]


@pytest.mark.parametrize("note", ["", "{}", '{"url": "elsewhere", "validator": "x"}', "[]"])
def test_a_part_without_a_valid_note_is_not_resumed(hub, url, target, note):
    target.with_name("weights.bin.part").write_bytes(b"something else")
    target.with_name("weights.bin.part.json").write_text(note)
    download(url, target)
    assert target.read_bytes() == DATA
    assert ranges(hub) == [None]


def test_a_part_that_is_longer_than_the_file_is_thrown_away(hub, url, target):
    from support.loopback import sha256

    target.with_name("weights.bin.part").write_bytes(DATA * 2)
    note = {"url": url, "validator": f'"{sha256(DATA)}"'}
    target.with_name("weights.bin.part.json").write_text(json.dumps(note))
    download(url, target)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "401: the server requires a login"),
        (403, "403: the server denies access"),
        (404, "404: there is no such file"),
        (429, "429: the server received too many requests; wait"),
        (500, "500: the server failed; try again later"),
    ],
)
def test_each_refusal_has_its_own_message(hub, url, target, status, words):
    hub.faults = [Fault("/files/", status=status)]
    with pytest.raises(UserError, match=words):
        download(url, target)
    assert list(target.parent.iterdir()) == []
    assert len(hub.requests) == 1


@pytest.mark.parametrize(
    "place", ["https://127.0.0.1:9/x", "ftp://127.0.0.1/x", "file:///etc/passwd"]
)
def test_a_redirect_to_another_scheme_is_refused(hub, url, target, place):
    hub.faults = [Fault("/files/", status=302, headers={"Location": place})]
    with pytest.raises(UserError, match="redirects from http to"):
        download(url, target)
    assert list(target.parent.iterdir()) == []


def test_a_redirect_within_the_scheme_is_followed(hub, url, target):
    hub.faults = [Fault("/files/elsewhere", status=302, headers={"Location": url})]
    download(f"{hub.url}/files/elsewhere", target)
    assert target.read_bytes() == DATA


@pytest.mark.parametrize(
    "url", ["http://example.org/x", "ftp://example.org/x", "file:///etc/passwd", "https://", "x"]
)
def test_only_https_is_fetched(url):
    with pytest.raises(UserError, match="not an https address"):
        check_url(url)


def test_offline_means_no_request(hub, url, target, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        download(url, target)
    assert hub.requests == []


def test_a_server_that_is_not_there_is_named(hub, url, target):
    hub.close()
    with pytest.raises(UserError, match=r"cannot reach 127.0.0.1 for .*check the network"):
        download(url, target)


def test_a_killed_download_is_resumed_by_the_next_one(hub, url, target):
    hub.faults = [Fault("/files/", times=1, seconds_per_chunk=0.1)]
    code = "import sys; from pathlib import Path; from zoo.hub.download import download;"
    code += "download(sys.argv[1], Path(sys.argv[2]))"
    process = subprocess.Popen([sys.executable, "-c", code, url, str(target)])
    part = target.with_name("weights.bin.part")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (part.exists() and part.stat().st_size > 300_000):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not target.exists()
    have = part.stat().st_size
    download(url, target)
    assert target.read_bytes() == DATA
    assert ranges(hub)[-1] == f"bytes={have}-"


def test_a_full_disk_is_reported_and_its_bytes_are_freed(hub, url, target):
    code = (
        "import resource, sys; from pathlib import Path; from zoo.hub.download import download;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000));"
        "download(sys.argv[1], Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, url, str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "no space left in" in done.stderr.splitlines()[-1]
    assert not target.exists()
    assert not target.with_name("weights.bin.part").exists()
