import os
import subprocess
import sys
from pathlib import Path

import pytest

from zoo import resources


def test_cores_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert resources.available_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert resources.available_cores() == 1


def test_memory_is_plausible():
    assert 1 << 20 < resources.available_memory() < 1 << 50


CHILD = """
import multiprocessing
from zoo.resources import safe_import_path

if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=print, args=("done",))
    with safe_import_path():
        process.start()
    process.join()
    raise SystemExit(process.exitcode)
"""


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no safe path")
def test_child_processes_import_nothing_from_the_working_folder(tmp_path):
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    for name in ("multiprocessing", "pickle", "zoo", "torch", "sitecustomize"):
        (hostile / f"{name}.py").write_text(f"open('{tmp_path}/ran', 'w'); raise SystemExit(9)")
    script = tmp_path / "script.py"
    package = Path(resources.__file__).parents[1]
    # A child that measures coverage would import these modules before it can be misled.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    for text, code in ((CHILD, 0), (CHILD.replace("with safe_import_path()", "if True"), 9)):
        script.write_text(text)
        done = subprocess.run(
            [sys.executable, str(script)],
            cwd=hostile,
            env={**inherited, "PYTHONPATH": str(package)},
        )
        assert done.returncode == code
        assert (tmp_path / "ran").exists() == bool(code)


def test_the_environment_is_as_before(monkeypatch):
    for before in (None, "", "1"):
        monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
        if before is not None:
            monkeypatch.setenv("PYTHONSAFEPATH", before)
        with resources.safe_import_path():
            assert os.environ["PYTHONSAFEPATH"] == "1"
        assert os.environ.get("PYTHONSAFEPATH") == before
