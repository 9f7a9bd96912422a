import json
import subprocess

import check_files
import pytest

CELL = {"cell_type": "code", "source": "1", "outputs": [], "execution_count": None}


def notebook(**changes):
    return json.dumps({"cells": [CELL | changes], "nbformat": 4})


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.json", "{}", []),
        ("a.json", '{"a": }', ["cannot be read"]),
        ("a.yml", "a: !!python/name:os.system {}\n---\nb: 1", []),
        ("a.yml", "a: [1", ["cannot be read"]),
        ("a.ipynb", notebook(), []),
        ("a.ipynb", notebook(outputs=[{"output_type": "stream"}]), ["has outputs"]),
        ("a.ipynb", notebook(execution_count=3), ["has outputs"]),
        ("a.bin", "x" * (768 * 1024), []),
        ("a.bin", "x" * (768 * 1024 + 1), ["768 KiB, more than 768"]),
        ("a.safetensors", "x" * (600 * 1024), []),
    ],
)
def test_files_are_checked(tmp_path, name, content, expected):
    path = tmp_path / name
    path.write_text(content)
    found = check_files.problems(path)
    assert len(found) == len(expected)
    assert all(text in problem for text, problem in zip(expected, found, strict=True))


def test_the_files_of_git_are_checked_by_default(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(check_files, "ROOT", tmp_path)
    monkeypatch.setattr(check_files.sys, "argv", ["check_files.py"])
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "bad.json").write_text("{")
    assert check_files.main() == 0
    subprocess.run(["git", "-C", tmp_path, "add", "bad.json"], check=True)
    assert check_files.main() == 1
    assert "bad.json: cannot be read" in capsys.readouterr().out
