"""Pulling weights over real HTTP, with faults on the way."""

from __future__ import annotations

import hashlib
import json
import signal
import time

import numpy as np
import pytest
from safetensors.numpy import save
from support.hub_cases import finish
from support.loopback import Fault

TENSORS = {"a": np.arange(250_000, dtype=np.float32), "b": np.ones((3, 4), np.float16)}
WEIGHTS = save(TENSORS)
SHA = hashlib.sha256(WEIGHTS).hexdigest()
REPO, FILE = "regzoo/unigradicon", "models/model.safetensors"


@pytest.fixture
def published(hub):
    hub.add(REPO, {FILE: WEIGHTS, "LICENSE": b"Apache-2.0"}, tag="0.1.0")
    return hub


def pull(user, *words, **more):
    return user.run("pull", "unigradicon", "--source", "hub", *words, **more)


def lock(user):
    path = user.home / "regzoo" / "weights.lock.json"
    return json.loads(path.read_text()) if path.exists() else None


def assert_nothing_placed(user):
    assert lock(user) is None
    assert user.weights() == []
    blobs = user.home / "hub" / "models--regzoo--unigradicon" / "blobs"
    assert not blobs.exists() or not any(blobs.iterdir())


def test_pull_places_the_file_in_the_cache_and_the_second_one_needs_no_network(user, published):
    code, out, err = pull(user)
    assert (code, err) == (0, "")
    entry = lock(user)["installed"]["unigradicon:official"]
    assert (entry["sha256"], entry["size"]) == (SHA, len(WEIGHTS))
    assert entry["path"].startswith(str(user.home / "hub" / "models--regzoo--unigradicon"))
    assert entry["checked"] == "the Hub"
    asked = len(published.requests)
    assert all(h["authorization"] == "Bearer hf_test" for _, _, h in published.requests)
    code, out, _ = pull(user)
    assert code == 0
    assert "is here already" in out
    assert len(published.requests) == asked
    code, out, _ = user.run("verify", HF_HUB_OFFLINE="1")
    assert code == 0
    assert "good" in out
    code, out, _ = user.run("models")
    assert "official (unverified)  yes" in out


def test_verify_notices_a_changed_and_a_missing_file(user, published):
    pull(user)
    path = user.weights()[0].resolve()
    path.write_bytes(WEIGHTS[:-1] + b"x")
    code, out, _ = user.run("verify")
    assert code == 1
    assert "sha256 is" in out
    path.unlink()
    code, out, _ = user.run("verify")
    assert code == 1
    assert "no longer exists" in out


def test_a_revision_can_be_named(user, published):
    other = save({"a": np.zeros(3, np.float32)})
    published.add(REPO, {FILE: other}, tag="0.2.0")
    assert pull(user, "--revision", "0.2.0")[0] == 0
    entry = lock(user)["installed"]["unigradicon:official"]
    assert entry["sha256"] == hashlib.sha256(other).hexdigest()
    assert entry["revision"] == "0.2.0"


def test_a_broken_connection_is_resumed_where_it_broke_off(user, published):
    large = save({"a": np.arange(4_000_000, dtype=np.float32)})  # the client writes 10 MiB a time
    published.repos[REPO].tags["0.1.0"] = published.add(REPO, {FILE: large})
    published.faults = [Fault(FILE, times=1, drop_after=12 << 20)]
    code, _, _ = pull(user)
    assert code == 0
    ranges = [h.get("range") for m, p, h in published.requests if m == "GET" and FILE in p]
    assert ranges == [None, f"bytes={10 << 20}-"]
    assert user.weights()[0].read_bytes() == large


def test_a_file_that_changed_on_the_way_is_refused(user, published):
    published.faults = [Fault(FILE, corrupt=True)]
    code, _, err = pull(user)
    assert code == 2
    assert "is refused: the Hub states the sha256" in err
    assert_nothing_placed(user)


def test_what_a_tag_stood_for_at_the_first_pull_is_what_it_must_bring_again(user, published):
    pull(user)
    user.weights()[0].resolve().unlink()
    published.repos[REPO].tags["0.1.0"] = published.add(REPO, {FILE: save({"a": np.ones(2)})})
    code, _, err = pull(user)
    assert code == 2
    assert "an earlier pull states the sha256" in err
    assert "weights.lock.json" in err
    assert published.count("GET", rf"resolve/.*{FILE}") == 1  # refused before it was fetched


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (WEIGHTS[:-100], "is truncated"),
        (WEIGHTS[:5], "is truncated"),
        ((1 << 60).to_bytes(8, "little") + WEIGHTS[8:], "claims a header of 1152921504606846976"),
        (b"PK\x03\x04" + bytes(1000), "pickle"),
    ],
)
def test_a_file_that_is_not_whole_safetensors_is_refused(user, hub, data, problem):
    hub.add(REPO, {FILE: data}, tag="0.1.0")
    code, _, err = pull(user)
    assert code == 2
    assert problem in err or ("PK" in repr(data[:2]) and "is not a safetensors" in err)
    assert_nothing_placed(user)


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (401, {}, "401: you are not logged in"),
        (401, {"X-Error-Code": "RepoNotFound"}, "hf auth login"),
        (403, {}, "403: your token does not allow this"),
        (403, {"X-Error-Code": "GatedRepo"}, "gated: ask for access"),
        (404, {"X-Error-Code": "RevisionNotFound"}, "has no such revision"),
        (429, {}, "too many requests; wait some minutes"),
        (500, {}, "500: the Hub failed; try again later"),
    ],
)
def test_each_refusal_of_the_hub_has_its_own_message(user, published, status, headers, words):
    published.faults = [Fault("/api/models/", status=status, headers=headers)]
    code, _, err = pull(user)
    assert code == 2
    assert err.startswith("regzoo: cannot pull regzoo/unigradicon at revision 0.1.0 from the Hub: ")
    assert words in err
    assert len(err.splitlines()) == 1
    assert_nothing_placed(user)


def test_no_such_repo_file_server_or_network(user, hub):
    assert "no such repository" in pull(user)[2]
    hub.add(REPO, {"README.md": b""}, tag="0.1.0")
    assert f"has no {FILE}" in pull(user)[2]
    assert "HF_HUB_OFFLINE is set" in pull(user, HF_HUB_OFFLINE="1")[2]
    hub.close()
    code, _, err = pull(user)
    assert code == 2
    assert "cannot reach the Hub" in err
    assert_nothing_placed(user)


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "a\\..\\evil", "C:evil"])
def test_a_repo_with_a_file_name_that_leads_elsewhere_is_refused(user, published, name):
    published.add(REPO, {FILE: WEIGHTS, name: b"x"})
    published.repos[REPO].tags["0.1.0"] = published.repos[REPO].head
    code, _, err = pull(user)
    assert code == 2
    assert "leads out of its folder" in err
    assert_nothing_placed(user)


def test_a_redirect_to_another_scheme_is_refused(user, published):
    for target in ("https://127.0.0.1:9/x", "file:///etc/passwd", "ftp://127.0.0.1/x"):
        published.faults = [
            Fault(FILE, status=302, headers={"Location": target, "ETag": '"x"'}, method=m)
            for m in ("GET", "HEAD")
        ]
        code, _, err = pull(user)
        assert code == 2
        assert "redirects from http to" in err
    assert_nothing_placed(user)


def test_two_pulls_at_once_download_once(user, published):
    published.faults = [Fault(FILE, seconds_per_chunk=0.05)]
    first, second = (user.start("pull", "unigradicon", "--source", "hub") for _ in range(2))
    results = [finish(first), finish(second)]
    assert [code for code, _, _ in results] == [0, 0]
    outputs = [out for _, out, _ in results]
    assert sum("another pull of unigradicon:official is running" in out for out in outputs) == 1
    assert sum("is here already" in out for out in outputs) == 1
    assert published.count("GET", FILE) == 1


def test_a_killed_pull_leaves_nothing_that_counts(user, published):
    published.faults = [Fault(FILE, times=1, seconds_per_chunk=0.5)]
    process = user.start("pull", "unigradicon", "--source", "hub")
    deadline = time.monotonic() + 60
    while published.count("GET", FILE) == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.6)
    process.send_signal(signal.SIGKILL)
    finish(process)
    assert lock(user) is None
    assert user.weights() == []
    assert "official (unverified)  no" in user.run("models")[1]
    assert pull(user)[0] == 0
    assert lock(user)["installed"]["unigradicon:official"]["sha256"] == SHA


def test_a_full_disk_is_reported_and_leaves_nothing(user, published):
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000));"
        "from zoo.cli import main; main(['pull', 'unigradicon', '--source', 'hub'])"
    )
    code, _, err = finish(user.python("-c", limited))
    assert code == 2
    assert "no space left on the disk" in err
    assert_nothing_placed(user)
    assert pull(user)[0] == 0
