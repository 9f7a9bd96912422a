"""Functions and commands that run in child processes."""

import pytest
from benchmarks.harness.measurement import Timer, peak_mib
from benchmarks.harness.processes import ChildError, call, run_regzoo


def test_a_function_runs_in_a_process_with_its_own_environment_and_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    number = call("os:getenv", {"key": "OMP_NUM_THREADS"}, threads=3)
    assert number == "3"
    assert call("os:getenv", {"key": "EXTRA"}, threads=1, variables={"EXTRA": "set"}) == "set"
    assert call("os:getcwd", {}, threads=1) != str(tmp_path)


def test_an_error_is_reported_by_its_last_line():
    with pytest.raises(ChildError, match=r"exit status 1: FileNotFoundError.*lost"):
        call("os:listdir", {"path": "/lost"}, threads=1)


def test_a_process_that_takes_too_long_is_stopped():
    with pytest.raises(ChildError, match=r"took longer than 0\.2 s"):
        call("subprocess:run", {"args": ["sleep", "5"]}, threads=1, timeout=0.2)


def test_a_refused_command_is_an_error():
    with pytest.raises(ChildError, match=r"exit status 2: .*/lost\.nii"):
        run_regzoo(["info", "/lost.nii"])


def test_the_peak_is_that_of_the_process_alone():
    ours = bytearray(200 * 2**20)
    child = call("benchmarks.harness.measurement:peak_mib", {}, threads=1)
    assert 5 < child < 150
    assert peak_mib() > child + len(ours) / 2**21


def test_the_timer_separates_waiting_from_computing():
    import time

    with Timer() as timer:
        time.sleep(0.2)
    assert timer.seconds >= 0.2
    assert timer.cpu_seconds < 0.1
