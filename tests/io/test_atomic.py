import errno
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from zoo import UserError
from zoo.io.atomic import (
    LEFTOVERS,
    atomic_path,
    check_writable,
    replace_folder,
    sync,
    write_json,
    write_text,
)


def test_success_replaces_the_file_and_removes_the_temporary_one(tmp_path):
    target = tmp_path / "a.nii.gz"
    target.write_text("old")
    with atomic_path(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.name.endswith(".nii.gz")
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_failure_keeps_the_old_file_and_removes_the_temporary_one(tmp_path, failure):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def write_half():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise failure

    with pytest.raises(failure):
        write_half()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_permissions_follow_the_umask(tmp_path):
    write_text(tmp_path / "a.txt", "x")
    plain = tmp_path / "b.txt"
    plain.write_text("x")
    assert (tmp_path / "a.txt").stat().st_mode == plain.stat().st_mode


def test_link_is_kept_and_its_target_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "real" / "file.txt")
    write_text(link, "x")
    assert link.is_symlink()
    assert (tmp_path / "real" / "file.txt").read_text() == "x"


def test_missing_folder_is_named_in_the_error(tmp_path):
    with pytest.raises(UserError, match=r"no folder .*nowhere"):
        write_text(tmp_path / "nowhere" / "a.txt", "x")


def test_folder_as_file_and_file_as_folder_are_refused(tmp_path):
    with pytest.raises(UserError, match="it is a folder"):
        write_text(tmp_path, "x")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="is a file"):
        write_text(tmp_path / "file" / "a.txt", "x")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "your disk quota is used up"),
        (errno.EFBIG, "the file is too large for this disk"),
        (errno.EROFS, "the disk is read-only"),
        (errno.EACCES, "no permission to write there"),
        (errno.EPERM, "no permission to write there"),
        (errno.ENAMETOOLONG, "the name is too long"),
    ],
)
def test_disk_errors_are_explained(tmp_path, number, words):
    target = tmp_path / "a.txt"
    with pytest.raises(UserError, match=words), atomic_path(target):
        raise OSError(number, os.strerror(number))
    assert list(tmp_path.iterdir()) == []


def test_other_errors_are_not_converted(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.txt"):
        open(tmp_path / "other")  # noqa: PTH123, SIM115
    with pytest.raises(OSError, match="without a number"), atomic_path(tmp_path / "a.txt"):
        raise OSError("without a number")


def test_texts_are_utf_8_with_their_own_line_ends(tmp_path):
    write_text(tmp_path / "a.txt", "ü\r\nb\nc")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xbc\r\nb\nc"
    write_json(tmp_path / "a.json", {"a": [1, None], "b": {}})
    expected = b'{\n  "a": [\n    1,\n    null\n  ],\n  "b": {}\n}\n'
    assert (tmp_path / "a.json").read_bytes() == expected


@pytest.mark.parametrize("there", [(), ("target",), ("new.old",), ("target", "new.old")])
def test_a_folder_is_replaced_whatever_an_earlier_process_left(tmp_path, there):
    for name in ("new", *there):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / f"{name}.txt").write_text(name)
    replace_folder(tmp_path / "new", tmp_path / "target")
    files = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.txt")]
    assert files == ["target/inner/new.txt"]
    assert list(tmp_path.iterdir()) == [tmp_path / "target"]


def test_a_missing_folder_does_not_replace_another_one(tmp_path):
    (tmp_path / "target").mkdir()
    with pytest.raises(FileNotFoundError):
        replace_folder(tmp_path / "new", tmp_path / "target")


def test_what_can_be_written_is_checked_without_writing(tmp_path):
    check_writable(tmp_path / "a.txt")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    check_writable(tmp_path / "file")
    sync(tmp_path / "file")
    sync(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "none")
    for path, pattern in (
        (tmp_path, f"cannot write {tmp_path}: it is a folder; give the name of a file"),
        (tmp_path / "none" / "a", f"there is no folder {tmp_path / 'none'}; create it first"),
        (tmp_path / "file" / "a", f"{tmp_path / 'file'} is a file; give a folder instead"),
        (tmp_path / "file" / "b" / "a", "there is no folder|is a file|Not a directory"),
        (tmp_path / ("x" * 300), "the name is too long; choose a shorter one"),
    ):
        with pytest.raises(UserError, match=pattern):
            check_writable(path)


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path):
    target = tmp_path / "a.json"
    write_json(target, {"x": [1, 2]})
    with pytest.raises(ValueError, match="Out of range"):
        write_json(target, {"x": float("nan")})
    assert json.loads(target.read_text()) == {"x": [1, 2]}


WRITER = """
import sys
from pathlib import Path
from zoo.io.atomic import atomic_path
print("ready", flush=True)
size = 1 << 20
for turn in range(10**9):
    with atomic_path(sys.argv[1]) as path, path.open("wb") as file:
        for _ in range(8):
            file.write(bytes([turn % 256]) * (size // 8))
"""


@pytest.mark.slow
def test_killed_writer_leaves_a_complete_file(tmp_path):
    target = tmp_path / "a.bin"
    target.write_bytes(bytes([255]) * (1 << 20))
    moments = random.Random(0)
    interrupted = 0
    for _ in range(20):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(target)], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(moments.uniform(0, 0.05))
            writer.send_signal(signal.SIGKILL)
        content = target.read_bytes()
        assert len(content) == 1 << 20
        assert len(set(content)) == 1
        for left in tmp_path.glob(".*"):
            interrupted += 1
            left.unlink()
    assert content[0] != 255, "nothing was ever written: the test proves nothing"
    assert interrupted >= 5, "few kills fell into a write: the test proves little"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_private_temporary_file_gets_default_permissions(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("a")
    with atomic_path(tmp_path / "own") as temporary:
        os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600))
    assert (tmp_path / "own").stat().st_mode == plain.stat().st_mode
    assert {path.name for path in tmp_path.iterdir()} == {"plain", "own"}


@pytest.mark.parametrize("name", ["x" * 300 + ".nii.gz", "x" * 249 + ".json"])
def test_long_name_is_written_or_refused(tmp_path, name):
    if len(name) > 255:
        with pytest.raises(UserError, match="too long"):
            write_text(tmp_path / name, "x")
    else:
        write_text(tmp_path / name, "x")
        assert (tmp_path / name).read_text() == "x"
    assert len(list(tmp_path.iterdir())) == (len(name) <= 255)


def test_broken_and_circular_links_are_refused(tmp_path):
    (tmp_path / "dangling").symlink_to(tmp_path / "gone" / "x")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "file").touch()
    (tmp_path / "below").symlink_to(tmp_path / "file" / "x")
    for name, pattern in (
        ("dangling", f"there is no folder {tmp_path / 'gone'}; create it first"),
        ("circle", "circle|loop"),
        ("below", f"{tmp_path / 'file'} is a file|Not a directory"),
    ):
        with pytest.raises(UserError, match=f"cannot write .*{name}: .*({pattern})"):
            write_text(tmp_path / name, "x")


@pytest.mark.parametrize("name", ["model.safetensors", "x" * 249 + ".json"])
def test_temporary_file_matches_the_pattern_and_keeps_its_suffix(tmp_path, name):
    with atomic_path(tmp_path / name) as temporary:
        temporary.touch()
        assert list(tmp_path.glob(LEFTOVERS)) == [temporary]
        assert temporary.suffix == (tmp_path / name).suffix
    assert not list(tmp_path.glob(LEFTOVERS))
