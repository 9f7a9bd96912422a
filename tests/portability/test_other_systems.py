"""What differs on Windows and macOS, emulated here or read from the source.

Windows has no `fcntl`, `resource` or `fork`, does not rename over an existing name, encodes text by
the region of the user, and knows mount points only from Python 3.12 on.
"""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.quick_registrations import WORDS

from zoo.datasets.path_safety import path_problem
from zoo.io.atomic import replace_folder, write_text
from zoo.io.volume import write_volume
from zoo.synthesis.phantom import make_pair

ROOT = Path(__file__).resolve().parents[2]
POSIX_ONLY = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
LIKE_WINDOWS = """
import os, sys
from pathlib import Path

import filelock  # has a lock of its own for Windows

for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
for name in ("fork", "geteuid", "getuid", "sched_getaffinity", "sysconf"):
    delattr(os, name)

def refuse_to_replace(rename):
    def renamed(self, target):
        if os.path.lexists(target):
            raise FileExistsError(17, "exists", str(target))
        return rename(self, target)
    return renamed

def is_mount(self):
    raise NotImplementedError("Path.is_mount() is unsupported on this system")

Path.rename = refuse_to_replace(Path.rename)
Path.is_mount = is_mount

from zoo.cli import run

for _ in range(2):
    assert run(sys.argv[1:]) == 0
    print("result", Path("result/result.json").read_text().replace("\\n", " "))
"""


def imported_at_the_top(tree):
    """Return the modules that a module imports whenever it is imported."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).partition(".")[0]


@pytest.fixture(scope="module")
def trees():
    """Return the parsed modules of the package by path."""
    paths = sorted((ROOT / "zoo").rglob("*.py"))
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text("utf-8")) for path in paths}


def test_no_module_needs_what_only_posix_has(trees):
    found = {name: POSIX_ONLY & set(imported_at_the_top(tree)) for name, tree in trees.items()}
    assert {name: modules for name, modules in found.items() if modules} == {}


def text_calls_without_encoding(tree):
    """Return the lines of calls that read or write text in the encoding of the user's region."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        mode = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        opens_text = node.func.attr == "open" and bool(mode) and mode[0] in ("r", "w", "a")
        if node.func.attr in ("read_text", "write_text") or opens_text:
            keywords = {keyword.arg for keyword in node.keywords}
            if "encoding" not in keywords:
                yield node.lineno


def test_a_call_without_an_encoding_is_found():
    code = "p.read_text()\np.write_text(t, encoding='utf-8')\np.open('w')\np.open('rb')\n"
    assert list(text_calls_without_encoding(ast.parse(code))) == [1, 3]


def test_text_is_read_and_written_as_utf8_everywhere(trees):
    found = {name: list(text_calls_without_encoding(tree)) for name, tree in trees.items()}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_text_files_have_the_same_bytes_on_every_system(tmp_path):
    write_text(tmp_path / "a.csv", "ä,b\n1,2\r\n")
    assert (tmp_path / "a.csv").read_bytes() == "ä,b\n1,2\r\n".encode()


@pytest.mark.slow
def test_a_pair_is_registered_twice_without_what_only_posix_has(tmp_path):
    pair = make_pair(1, shape=(32, 30, 28), axes="LPS", tilt_degrees=8, contrasts=("t1", "t2"))
    write_volume(tmp_path / "fixed.nii.gz", pair.fixed, pair.fixed_grid, torch.int16)
    write_volume(tmp_path / "moving.nii.gz", pair.moving, pair.moving_grid, torch.int16)
    words = ["register", "fixed.nii.gz", "moving.nii.gz", "--out", "result", "--report=false"]
    done = subprocess.run(
        [sys.executable, "-c", LIKE_WINDOWS, *words, *WORDS],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    printed = [line for line in done.stdout.splitlines() if not line.startswith("result ")]
    assert "MiB" not in "".join(printed)
    results = [
        json.loads(line.partition(" ")[2])
        for line in done.stdout.splitlines()
        if line.startswith("result ")
    ]
    assert [result["peak_memory_mib"] for result in results] == [None, None]
    assert results[0]["figures"] == results[1]["figures"]
    left = {path.name for path in tmp_path.iterdir()} - {"fixed.nii.gz", "moving.nii.gz"}
    assert left == {"result"}


def test_a_folder_replaces_another_where_rename_refuses_an_existing_name(tmp_path, monkeypatch):
    rename = Path.rename

    def renamed(self, target):
        if Path(target).exists():
            raise FileExistsError(17, "exists", str(target))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", renamed)
    for name in ("new", "old", "new.old"):  # the last one is left over from a killed process
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    replace_folder(tmp_path / "new", tmp_path / "old")
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize(
    "name", [r"images\a.nii.gz", r"C:\a.nii.gz", "C:/a.nii.gz", r"\\host\a.nii.gz", "//host/a.nii"]
)
def test_a_dataset_names_files_in_a_form_that_every_system_understands(name):
    problem = path_problem(name)
    assert problem is not None
    assert problem.id in ("path-backslash", "path-drive")
