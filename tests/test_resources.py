import os
import platform
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


FREED = """
import re
from pathlib import Path
import torch
from zoo.resources import return_freed_memory
from zoo.runtime.memory import keep_freed_memory

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10

assert keep_freed_memory()
volumes = [torch.ones(1 << 22) for _ in range(20)]  # 16 MiB each
last = volumes[-1]
full = resident()
del volumes
kept = resident()
assert return_freed_memory()
print(full - kept, kept - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can do it")
def test_freed_memory_returns_to_the_system_between_stages():
    """Without it, the memory below the last tensor stays in the process."""
    command = [sys.executable, "-c", FREED]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    without, returned = map(int, done.stdout.split())
    assert without < 30
    assert returned > 250


def test_other_systems_keep_their_memory(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not resources.return_freed_memory()
