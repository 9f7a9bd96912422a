"""Staged outputs: all of the new files or all of the old ones, and one writer at a time."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import zoo
from zoo import UserError
from zoo.runtime.output_folder import staged_outputs

PREVIOUS = {"a", "b", "sub/c", "done"}


def staged(folder):
    return staged_outputs(
        folder, lambda f: {n for n in PREVIOUS if (f / n).exists()}, marker="done"
    )


def write(folder, failure=None, **files):
    """Write files through a staging folder; two underscores in a name stand for a slash.

    `failure` is raised after the files have been staged.
    """
    with staged(folder) as staging:
        for name, text in files.items():
            path = staging / name.replace("__", "/")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        if failure is not None:
            raise failure


def contents(folder):
    paths = [path for path in folder.rglob("*") if not path.is_dir()]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in paths}


def test_files_appear_together_and_previous_ones_that_are_not_replaced_are_removed(tmp_path):
    out = tmp_path / "new" / "out"
    with staged(out) as staging:
        (staging / "a").write_text("1")
        (staging / "sub").mkdir()
        (staging / "sub" / "c").write_text("1")
        (staging / "done").write_text("1")
        assert not out.exists()
    assert contents(tmp_path) == {"new/out/a": "1", "new/out/sub/c": "1", "new/out/done": "1"}
    (out / "mine").write_text("of the user")
    with staged(out) as staging:
        (staging / "b").write_text("2")
        (staging / "done").write_text("2")
        assert contents(out) == {"a": "1", "sub/c": "1", "done": "1", "mine": "of the user"}
    assert contents(tmp_path / "new") == {"out/b": "2", "out/done": "2", "out/mine": "of the user"}
    assert not (out / "sub").exists()


def test_a_failure_leaves_the_old_files_and_nothing_else(tmp_path):
    with pytest.raises(ZeroDivisionError):
        write(tmp_path / "x" / "y" / "out", ZeroDivisionError, a="2")
    assert not list(tmp_path.iterdir())
    out = tmp_path / "out"
    write(out, a="1", done="1")
    with pytest.raises(KeyboardInterrupt):
        write(out, KeyboardInterrupt, a="2")
    assert contents(tmp_path) == {"out/a": "1", "out/done": "1"}


def test_an_interrupt_while_files_are_moved_takes_effect_after_all_are_moved(tmp_path, monkeypatch):
    out = tmp_path / "out"
    write(out, a="1", b="1", done="1")
    replace, calls = Path.replace, []

    def interrupted(path, target):
        if path.parent.name == "new":
            calls.append(path)
            if len(calls) == 2:
                raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(out, a="2", b="2", done="2")
    assert contents(tmp_path) == {"out/a": "2", "out/b": "2", "out/done": "2"}


@pytest.mark.parametrize("moved", [[], ["a"], ["a", "b"], ["a", "b", "done"]])
def test_the_next_process_finishes_the_changes_of_a_journal(tmp_path, moved):
    out, state = tmp_path / "out", tmp_path / ".out.regzoo"
    write(out, a="1", sub__c="1", done="1")
    (state / "new").mkdir(parents=True)
    for name in ("a", "b", "done"):
        (out if name in moved else state / "new").joinpath(name).write_text("2")
    if moved:
        (out / "sub" / "c").unlink()
    changes = {"marker": "done", "install": ["a", "b"], "remove": ["sub/c"]}
    (state / "journal.json").write_text(json.dumps(changes))
    with pytest.raises(ZeroDivisionError):
        write(out, ZeroDivisionError, b="3")
    assert contents(tmp_path) == {"out/a": "2", "out/b": "2", "out/done": "2"}


@pytest.mark.parametrize("name", ["../keep", "/etc/keep", "link/keep"])
@pytest.mark.parametrize("key", ["remove", "install"])
def test_a_journal_does_not_reach_outside_the_folder(tmp_path, key, name):
    out, state = tmp_path / "out", tmp_path / ".out.regzoo"
    for folder in (out, state / "new"):
        folder.mkdir(parents=True)
        (folder / "done").write_text("1")
    (tmp_path / "keep").write_text("of the user")
    (out / "link").symlink_to(tmp_path)
    changes = {"marker": "done", "install": [], "remove": [], key: [name]}
    (state / "journal.json").write_text(json.dumps(changes))
    with (
        pytest.raises(UserError, match=r"not inside .*; remove the folder \.out\.regzoo"),
        staged(out),
    ):
        pass
    assert (tmp_path / "keep").read_text() == "of the user"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"marker": 1}'])
def test_a_damaged_journal_is_an_error_of_one_line(tmp_path, text):
    state = tmp_path / ".out.regzoo"
    state.mkdir()
    (state / "journal.json").write_text(text)
    with pytest.raises(UserError, match=r"journal\.json"), staged(tmp_path / "out"):
        pass


def test_a_second_writer_is_refused_also_from_another_thread(tmp_path):
    errors = []

    def attempt():
        try:
            write(tmp_path / "out", done="2")
        except UserError as error:
            errors.append(str(error))

    with staged(tmp_path / "out") as staging:
        (staging / "done").write_text("1")
        for call in (attempt, threading.Thread(target=attempt).start):
            call()
        while len(errors) < 2:
            pass
    assert len(set(errors)) == 1
    assert f"process {os.getpid()} on " in errors[0]
    assert f"is writing to the folder {tmp_path / 'out'}; wait until it ends" in errors[0]
    assert contents(tmp_path) == {"out/done": "1"}


HOLDER = """
import sys, time
from zoo.runtime.output_folder import staged_outputs

with staged_outputs(sys.argv[1], lambda folder: (), marker="done") as staging:
    (staging / "a").write_text("unfinished")
    print("ready", flush=True)
    time.sleep(600)
"""


def test_the_lock_and_the_staged_files_of_a_killed_process_do_not_remain(tmp_path):
    out = tmp_path / "out"
    write(out, a="1", done="1")
    environment = os.environ | {"PYTHONPATH": str(Path(zoo.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, out], stdout=subprocess.PIPE, env=environment
    )
    assert process.stdout.readline() == b"ready\n"
    with pytest.raises(UserError, match=f"process {process.pid} on "):
        write(out, done="2")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert contents(out) == {"a": "1", "done": "1"}
    assert (tmp_path / ".out.regzoo" / "new" / "a").exists()
    write(out, done="2")
    assert contents(tmp_path) == {"out/done": "2"}


def test_many_writers_in_turn_never_overlap(tmp_path):
    out, held, overlaps, done, refusals = tmp_path / "out", threading.Lock(), [], [], []

    def work():
        for _ in range(30):
            try:
                with staged(out) as staging:
                    if not held.acquire(blocking=False):
                        overlaps.append(1)
                        continue
                    (staging / "done").write_text("1")
                    held.release()
                done.append(1)
            except UserError as error:
                refusals.append(error.code)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done
    assert not overlaps
    assert len(done) + len(refusals) == 120
    assert set(refusals) <= {"busy"}
    assert contents(tmp_path) == {"out/done": "1"}


@pytest.mark.parametrize("removed", ["new", "new/.out.regzoo"])
def test_a_folder_that_another_process_removes_at_the_same_moment_is_created_again(
    tmp_path, monkeypatch, removed
):
    """The other process creates the folder just before this one does, and removes it just after."""
    mkdir, calls = os.mkdir, []

    def mkdir_too_late(path, *arguments, **options):
        if Path(path) == tmp_path / removed and not calls:
            calls.append(path)
            raise FileExistsError(errno.EEXIST, "File exists", str(path))
        mkdir(path, *arguments, **options)

    monkeypatch.setattr(os, "mkdir", mkdir_too_late)
    write(tmp_path / "new" / "out", done="1")
    assert calls
    assert contents(tmp_path) == {"new/out/done": "1"}


def test_the_folder_behind_a_link_is_written_and_a_mounted_one_holds_its_own_state(
    tmp_path, monkeypatch
):
    real = tmp_path / "disk" / "real"
    write(real, a="1", done="1")
    (tmp_path / "out").symlink_to(real)
    write(tmp_path / "out", done="2")
    assert (tmp_path / "out").is_symlink()
    assert contents(real) == {"done": "2"}
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == real)
    with staged(real) as staging:
        assert staging.parent.parent == real
        (staging / "done").write_text("3")
    assert contents(tmp_path / "disk") == {"real/done": "3"}


def test_files_are_copied_where_they_cannot_be_renamed(tmp_path, monkeypatch):
    out = tmp_path / "out"
    write(out, a="1", done="1")
    replace = Path.replace

    def refusing(path, target):
        if path.parent.name == "new":
            raise OSError(18, "Invalid cross-device link")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", refusing)
    write(out, b="2", done="2")
    assert contents(tmp_path) == {"out/b": "2", "out/done": "2"}


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "out", tmp_path / ("x" * 300)):
        with pytest.raises(
            UserError, match=f"cannot write to {out}|cannot write to the folder {out}"
        ):
            write(out, done="1")
    (tmp_path / "out" / "a").mkdir(parents=True)
    with pytest.raises(UserError, match=r"out/a: it is a folder"):
        write(tmp_path / "out", a="1", done="1")
    (tmp_path / ".other.regzoo").symlink_to(tmp_path / "out")
    with pytest.raises(UserError, match="is a link or a file, which regzoo does not create"):
        write(tmp_path / "other", done="1")
