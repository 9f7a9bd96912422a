"""The local copies of a remote dataset are bounded, and the least recently used ones go first."""

import threading
from pathlib import Path

import fsspec
import pytest

from zoo import UserError
from zoo.cohorts.digests import file_digest
from zoo.cohorts.scratch import RemoteFiles, Scratch, open_scratch
from zoo.datasets.pairs import PairFiles
from zoo.io.remote import RemoteFolder

MEMORY = fsspec.filesystem("memory")
ROOT = Path("/nowhere")


@pytest.fixture
def folder():
    MEMORY.pipe({f"/bucket/{name}": name.encode() * 100 for name in "abcd"})
    yield RemoteFolder("memory://bucket")
    MEMORY.rm("/bucket", recursive=True)


def pair(fixed, moving):
    return PairFiles(ROOT / fixed, (ROOT / moving,))


def names(folder):
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_files_that_were_not_used_for_longest_are_removed(folder, tmp_path):
    scratch = Scratch(RemoteFiles(folder, ROOT, 300), tmp_path)
    for fixed, moving, kept in (("a", "b", "ab"), ("a", "c", "abc"), ("c", "d", "acd")):
        with scratch.holding(pair(fixed, moving), "settings") as (files, content):
            assert files.fixed.read_bytes() == fixed.encode() * 100
            assert files.moving[0].read_bytes() == moving.encode() * 100
            for role, path in (("fixed", files.fixed), ("moving.0", files.moving[0])):
                assert content["files"][role]["sha256"] == file_digest(path)["sha256"]
        assert names(tmp_path) == set(kept)


def test_a_pair_that_does_not_fit_is_refused(folder, tmp_path):
    scratch = Scratch(RemoteFiles(folder, ROOT, 199), tmp_path)
    with (
        pytest.raises(UserError, match="--scratch allows"),
        scratch.holding(pair("a", "b"), "settings"),
    ):
        pass
    assert names(tmp_path) == set()


def test_files_in_use_stay_until_there_is_room(folder, tmp_path):
    scratch = Scratch(RemoteFiles(folder, ROOT, 300), tmp_path)
    seen = []

    def other():
        with scratch.holding(pair("c", "d"), "settings"):
            seen.append(names(tmp_path))

    thread = threading.Thread(target=other)
    with scratch.holding(pair("a", "b"), "settings") as (files, _):
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
        assert files.fixed.is_file()
        assert files.moving[0].is_file()
    thread.join(10)
    assert not thread.is_alive()
    assert len(seen[0]) <= 3
    assert {"c", "d"} <= seen[0]


def test_a_new_version_is_downloaded_again(folder, tmp_path):
    scratch = Scratch(RemoteFiles(folder, ROOT, 300), tmp_path)
    with scratch.holding(pair("a", "b"), "settings") as (_, first):
        pass
    MEMORY.pipe("/bucket/a", b"A" * 100)
    with scratch.holding(pair("a", "b"), "settings") as (files, second):
        assert files.fixed.read_bytes() == b"A" * 100
    assert first["files"]["moving.0"] == second["files"]["moving.0"]
    assert first["sha256"] != second["sha256"]


def test_a_digest_is_known_until_the_file_changes(folder):
    remote = RemoteFiles(folder, ROOT, 300)
    known = {"sha256": "0" * 64, **folder.version("a")}
    assert remote.file_digest(ROOT / "a", known) == known
    MEMORY.pipe("/bucket/a", b"A" * 100)
    with pytest.raises(UserError, match="memory://bucket/a has changed"):
        remote.file_digest(ROOT / "a", known)


def test_the_folder_is_removed_afterwards(folder):
    with open_scratch(RemoteFiles(folder, ROOT, 300)) as scratch:
        with scratch.holding(pair("a", "b"), "settings") as (files, _):
            copies = files.fixed.parent
        assert names(copies) == {"a", "b"}
    assert not copies.exists()
    with open_scratch(None) as scratch:
        assert scratch is None
