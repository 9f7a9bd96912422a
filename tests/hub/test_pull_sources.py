"""Pulling from the authors, from an address and from a file."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from support.loopback import sha256

from zoo.errors import UserError
from zoo.hub import pull as module
from zoo.hub.catalogue import find_variant
from zoo.hub.lock import lock_path, read_lock
from zoo.hub.pull import pull
from zoo.hub.specs import Upstream
from zoo.hub.weights import find_weights, load_weights
from zoo.hub.weights_header import sha256_of
from zoo.io.atomic import atomic_path
from zoo.networks.unireg import UniReg

SHAPES = {name: tuple(v.shape) for name, v in UniReg().state_dict().items()}
WEIGHTS = save({name: np.ones(shape, np.float32) for name, shape in SHAPES.items()})
OTHER = save({name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()})
NAME = "unireg:official"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return tmp_path / "home"


@pytest.fixture
def address(hub, home):
    hub.files["w.safetensors"] = WEIGHTS
    return f"{hub.url}/files/w.safetensors"


@pytest.fixture
def upstream(monkeypatch, address):
    """Return a function that gives the model an upstream on loopback with the given sha256."""

    def know(digest):
        model, variant = find_variant(NAME)
        changed = dataclasses.replace(variant, upstream=Upstream(address, digest))
        monkeypatch.setattr(module, "find_variant", lambda spec: (model, changed))

    return know


def placed(home):
    return [p for p in home.rglob("*") if p.is_file() and p.suffix not in (".lock", ".json")]


def test_upstream_is_the_default_until_the_weights_are_published(home, upstream, capsys):
    upstream(sha256(WEIGHTS))
    entry = pull("unireg")
    assert entry.checked == "the catalogue"
    assert entry.source == "upstream"
    assert "unverified" not in capsys.readouterr().out
    assert find_weights("unireg").path.read_bytes() == WEIGHTS
    assert placed(home) == [find_weights("unireg").path]  # the download is not kept twice


def test_what_a_killed_pull_left_goes_with_the_next_one(home, address):
    folder = home / "regzoo" / "weights" / "unireg" / "official"
    folder.mkdir(parents=True)
    with atomic_path(folder / "model.safetensors") as temporary:
        temporary.touch()
    temporary.write_bytes(b"half")
    pull("unireg", address)
    assert placed(home) == [folder / "model.safetensors"]


def test_a_wrong_sha256_in_the_catalogue_refuses_the_file(home, upstream):
    upstream("0" * 64)
    with pytest.raises(UserError, match="is refused: the catalogue states the sha256 0000"):
        pull("unireg")
    assert placed(home) == []
    assert not lock_path().exists()


def test_an_unverified_file_is_noted_and_must_come_again_the_same(home, hub, upstream, capsys):
    upstream(None)
    entry = pull("unireg")
    assert f"{NAME} is unverified" in capsys.readouterr().out
    assert entry.checked == "nothing yet"
    assert read_lock().pins == {entry.origin: sha256(WEIGHTS)}
    asked = len(hub.requests)
    assert pull("unireg") == entry
    assert len(hub.requests) == asked
    find_weights("unireg").path.unlink()
    hub.files["w.safetensors"] = OTHER
    with pytest.raises(UserError, match="an earlier pull states the sha256"):
        pull("unireg")
    assert placed(home) == []
    hub.files["w.safetensors"] = WEIGHTS
    assert pull("unireg").checked == "an earlier pull"


def test_an_address_and_a_file_are_sources_too(home, address, tmp_path):
    assert pull("unireg", address).source == "url"
    own = tmp_path / "own.safetensors"
    own.write_bytes(OTHER)
    entry = pull("unireg", str(own))
    assert (entry.source, entry.sha256) == ("file", sha256(OTHER))
    assert own.read_bytes() == OTHER
    assert find_weights("unireg").path.read_bytes() == OTHER


def test_a_truncated_file_is_refused_and_the_earlier_weights_stay(home, address, tmp_path):
    pull("unireg", address)
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(WEIGHTS[:-1])
    with pytest.raises(UserError, match="is truncated"):
        pull("unireg", str(bad))
    assert bad.exists()  # the user's own file is the user's
    assert sha256_of(find_weights("unireg").path) == sha256(WEIGHTS)


@pytest.mark.parametrize(
    ("spec", "source", "revision", "problem"),
    [
        ("nothing", None, None, "there is no model 'nothing'; use one of mcbo"),
        ("mcbo", None, None, "mcbo has no weights"),
        ("unigradicon:huge", None, None, "use one of unigradicon:official, unigradicon:compact"),
        ("unigradicon:compact", None, None, "not published yet"),
        ("unigradicon:compact", "upstream", None, "has no upstream"),
        ("unigradicon", "nowhere.trch", None, "no such file; use hub, upstream, a file"),
        ("unigradicon", "http://example.org/w.safetensors", None, "not an https address"),
        ("unigradicon", "upstream", "0.1.0", "--revision 0.1.0 needs --source hub"),
    ],
)
def test_a_request_that_cannot_be_pulled_is_refused(home, spec, source, revision, problem):
    with pytest.raises(UserError, match=problem):
        pull(spec, source, revision)


def checkpoint(path):
    """A checkpoint of UniReg as its authors release it: a pickle, the tensors one level down."""
    torch.manual_seed(0)
    state = {name: torch.randn_like(v) / 20 for name, v in UniReg().state_dict().items()}
    torch.save({"model": state, "epoch": 3}, path)
    return state


def test_the_authors_checkpoint_is_converted(home, hub, tmp_path, monkeypatch):
    state = checkpoint(tmp_path / "release.pth")
    hub.files["release.pth"] = (tmp_path / "release.pth").read_bytes()
    model, variant = find_variant("unireg")
    there = Upstream(f"{hub.url}/files/release.pth", sha256(hub.files["release.pth"]))
    changed = dataclasses.replace(variant, upstream=there)
    monkeypatch.setattr(module, "find_variant", lambda spec: (model, changed))
    entry = pull("unireg")
    found = find_weights("unireg")
    assert (entry.checked, found.width) == ("the catalogue", 8)
    loaded = load_weights(found.path)
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name]) for name in state)
    asked = len(hub.requests)
    assert pull("unireg") == entry
    assert len(hub.requests) == asked


def test_a_checkpoint_that_would_run_code_is_refused_and_does_not(home, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "MARK"),)

    torch.save({"model": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(UserError, match="nothing in it was run"):
        pull("unireg", str(tmp_path / "evil.pth"))
    assert not (tmp_path / "MARK").exists()
    assert placed(home) == []
    assert not lock_path().exists()


def test_a_checkpoint_of_another_network_is_refused(home, tmp_path):
    checkpoint(tmp_path / "release.pth")
    with pytest.raises(UserError, match="read as gradicon of width 16, does not fit"):
        pull("unigradicon", str(tmp_path / "release.pth"))
    assert placed(home) == []


def test_weights_of_another_network_or_not_those_of_the_catalogue_are_refused(home, tmp_path):
    own = tmp_path / "own.safetensors"
    own.write_bytes(WEIGHTS)
    with pytest.raises(UserError, match=r"as weights of unigradicon:official .* of its tensors"):
        pull("unigradicon", str(own))
    with pytest.raises(UserError, match="the catalogue states the sha256"):
        pull("unireg:compact", str(own))
    assert placed(home) == []
    assert not lock_path().exists()


def test_a_full_disk_while_placing_leaves_nothing(home, tmp_path):
    """On a file system of one MiB, where the machine lets us make one."""
    own = tmp_path / "own.safetensors"
    own.write_bytes(WEIGHTS)
    home.mkdir()
    script = (
        f"mount -t tmpfs -o size=1m none {home} &&"
        f"{sys.executable} -m zoo pull unireg --source {own}; echo code $?;"
        f"find {home} -type f -size +0"
    )
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    if "code" not in done.stdout or "mount" in done.stderr:
        pytest.skip(f"no small file system can be made here: {done}")
    assert "disk is full" in done.stderr
    assert done.stdout.split() == ["code", "2"]


def test_a_lock_file_of_somebody_else_is_not_overwritten(home, address):
    lock_path().parent.mkdir(parents=True)
    lock_path().write_text("[]")
    with pytest.raises(UserError, match="is not a lock file of regzoo"):
        pull("unigradicon", address)
    assert json.loads(lock_path().read_text()) == []
