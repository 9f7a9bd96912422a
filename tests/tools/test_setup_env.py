import importlib.util
import json
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "tools" / "setup_env.py"


@pytest.fixture
def setup(tmp_path, monkeypatch):
    """Return the script for a checkout of its own, with commands recorded instead of run."""
    spec = importlib.util.spec_from_file_location("setup_env", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "STAMP", tmp_path / ".venv" / "regzoo-setup.json")
    monkeypatch.setattr(module, "PYTHON", tmp_path / ".venv" / "bin" / "python")
    (tmp_path / "pyproject.toml").write_text("a")
    (tmp_path / "constraints.txt").write_text("b")
    module.ran = []

    def run(command, **_):
        words = [str(word) for word in command]
        module.ran.append(words)
        if "venv" in words:
            module.PYTHON.parent.mkdir(parents=True)
            module.PYTHON.write_text("#!/bin/sh\nexit 0\n")
            module.PYTHON.chmod(0o755)
        elif "-c" in words[:2]:
            return subprocess.CompletedProcess(command, module.interpreter)
        elif words[0] == "uv":
            return subprocess.CompletedProcess(command, int(module.uv_fails))
        elif module.fails:
            raise subprocess.CalledProcessError(1, command)
        return subprocess.CompletedProcess(command, 0)

    module.interpreter, module.fails, module.uv_fails = 0, False, False
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    monkeypatch.setattr(module.subprocess, "run", run)
    return module


def call(setup, monkeypatch, *extras):
    monkeypatch.setattr(setup.sys, "argv", ["setup_env.py", *extras])
    setup.ran.clear()
    setup.main()
    return [words for words in setup.ran if "-c" not in words[:2]]


def made_anew(ran):
    return any("venv" in words for words in ran)


def test_the_second_time_nothing_is_installed(setup, monkeypatch):
    assert made_anew(call(setup, monkeypatch))
    assert call(setup, monkeypatch) == []


def test_extras_are_added_and_then_kept(setup, monkeypatch):
    call(setup, monkeypatch)
    ran = call(setup, monkeypatch, "test")
    assert ran
    assert not made_anew(ran)
    assert call(setup, monkeypatch) == []
    assert json.loads(setup.STAMP.read_text())["extras"] == ["test"]


def test_a_changed_pin_installs_again_into_the_same_environment(setup, monkeypatch):
    call(setup, monkeypatch)
    (setup.ROOT / "constraints.txt").write_text("other")
    ran = call(setup, monkeypatch)
    assert ran
    assert not made_anew(ran)


def test_an_environment_without_its_stamp_is_made_anew(setup, monkeypatch):
    call(setup, monkeypatch)
    setup.STAMP.unlink()
    (setup.VENV / "half").write_text("made")
    assert made_anew(call(setup, monkeypatch))
    assert not (setup.VENV / "half").exists()


def test_an_interpreter_that_does_not_start_is_made_anew(setup, monkeypatch):
    call(setup, monkeypatch)
    setup.interpreter = 1
    assert made_anew(call(setup, monkeypatch))


def test_a_failed_installation_leaves_no_stamp(setup, monkeypatch):
    setup.fails = True
    with pytest.raises(SystemExit, match="failed"):
        call(setup, monkeypatch)
    assert not setup.STAMP.exists()


@pytest.mark.parametrize("fails", [False, True])
def test_uv_installs_if_it_is_on_the_path_and_pip_does_if_uv_fails(setup, monkeypatch, fails):
    monkeypatch.setattr(setup.shutil, "which", lambda name: name)
    setup.uv_fails = fails
    ran = call(setup, monkeypatch, "test")
    with_uv = [words for words in ran if words[0] == "uv"]
    with_pip = [words for words in ran if words[1:3] == ["-m", "pip"]]
    assert len(with_uv) == 1
    assert with_uv[0][with_uv[0].index("--python") + 1] == str(setup.PYTHON)
    assert with_uv[0][-1] == ".[test]"
    assert len(with_pip) == fails
    assert call(setup, monkeypatch) == []


def test_an_old_python_is_told_in_one_line(setup, monkeypatch):
    monkeypatch.setattr(setup.sys, "version_info", (3, 9, 1))
    monkeypatch.setattr(setup.sys, "version", "3.9.1 (main)")
    with pytest.raises(SystemExit, match=r"3\.9\.1 is too old.*3\.10 to 3\.13"):
        call(setup, monkeypatch)
