"""The user's lock file, and the folders of the cache."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from zoo.errors import UserError
from zoo.hub.bundles import bundle_folder, is_packaged
from zoo.hub.cache import hf_home, offline
from zoo.hub.lock import Installed, lock_path, read_lock, record


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def entry(path, variant="official", size=3):
    return Installed(
        "m", variant, str(path), "0" * 64, size, "url", "https://x", None, "nothing yet", "2026"
    )


def test_what_is_recorded_is_read_back(tmp_path):
    assert read_lock().installed == {}
    first, second = entry(tmp_path / "a"), entry(tmp_path / "b", "compact")
    record(first, ("https://x", "1" * 64))
    record(second, ("https://y", "2" * 64))
    assert read_lock().installed == {"m:official": first, "m:compact": second}
    assert read_lock().pins == {"https://x": "1" * 64, "https://y": "2" * 64}
    replaced = dataclasses.replace(first, size=4)
    record(replaced, ("https://x", "3" * 64))
    assert read_lock().installed["m:official"] == replaced


def test_entries_of_processes_at_the_same_time_are_all_kept(tmp_path):
    code = (
        "import sys; from zoo.hub.lock import Installed, record;"
        "[record(Installed('m', sys.argv[1] + str(i), 'p', 's', 1, 'url', 'o', None, 'c', 't'),"
        " (sys.argv[1] + str(i), 's')) for i in range(20)]"
    )
    workers = [subprocess.Popen([sys.executable, "-c", code, name]) for name in "abc"]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    assert len(read_lock().installed) == 60


def test_a_file_counts_while_it_is_there_with_its_size(tmp_path):
    path = tmp_path / "w"
    assert not entry(path).in_place()
    path.write_bytes(b"abc")
    assert entry(path).in_place()
    path.write_bytes(b"ab")
    assert not entry(path).in_place()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"installed": {"a": {}}, "pins": {}}', "null"])
def test_a_file_that_is_not_a_lock_file_is_named(text):
    lock_path().parent.mkdir(parents=True)
    lock_path().write_text(text)
    with pytest.raises(UserError, match=r"weights.lock.json is not a lock file.*move it away"):
        read_lock()


@pytest.mark.parametrize(
    "setting",
    [
        {},
        {"HF_HOME": "/somewhere/else"},
        {"HF_HOME": "~/mine"},
        {"HF_HOME": "$HOME/mine"},
        {"XDG_CACHE_HOME": "/caches"},
        {"HF_HUB_OFFLINE": "1"},
        {"HF_HUB_OFFLINE": "true", "HF_HOME": "/x"},
        {"HF_HUB_OFFLINE": "0"},
        {"TRANSFORMERS_OFFLINE": "YES"},
    ],
)
def test_home_and_offline_are_read_as_the_hub_s_client_reads_them(setting, monkeypatch):
    for name in ("HF_HOME", "XDG_CACHE_HOME", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    code = "from huggingface_hub import constants as c; print(c.HF_HOME, c.HF_HUB_OFFLINE)"
    theirs = subprocess.check_output([sys.executable, "-c", code], text=True, env=dict(os.environ))
    assert f"{hf_home()} {offline()}" == theirs.strip()


def test_only_folders_among_the_packaged_bundles_are_packaged(tmp_path):
    assert is_packaged(bundle_folder("mcbo"))
    assert not is_packaged(tmp_path)
    (tmp_path / "link").symlink_to(bundle_folder("mcbo"))
    assert is_packaged(tmp_path / "link")
    assert not is_packaged(bundle_folder("mcbo").parent)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "JSON array"),
        ('{"installed": {}, "pins": []}', "list"),
        ('{"installed": {"m:official": []}, "pins": {}}', "mapping"),
        ('{"installed": {"m:official": {"path": "x"}}, "pins": {}}', "missing"),
        ('{"installed": {}, "pins": {"a": 1}}', "1 is not a text"),
        ('{"installed": {}, "installed": {}, "pins": {}}', "occurs twice"),
        ('{"installed": {}, "pins": {"a": NaN}}', "NaN is not allowed"),
    ],
)
def test_a_damaged_lock_file_is_an_error_that_says_what_to_do(home, content, message):
    lock_path().parent.mkdir(parents=True)
    lock_path().write_text(content)
    with pytest.raises(UserError, match=rf"is not a lock file of regzoo .*{message}.*move it away"):
        read_lock()


@pytest.mark.parametrize(("name", "value"), [("path", 3), ("size", "3"), ("checked", None)])
def test_entries_of_another_type_are_refused(tmp_path, name, value):
    record(entry(tmp_path / "a"), ("https://x", "1" * 64))
    content = json.loads(lock_path().read_text())
    content["installed"]["m:official"][name] = value
    lock_path().write_text(json.dumps(content))
    with pytest.raises(UserError, match="is not a lock file of regzoo"):
        read_lock()
