"""A cohort on Dask: the outcome of every pair, and what happens to lost workers and schedulers."""

import json
import shutil
import threading
import time
from types import SimpleNamespace

import distributed
import pytest
import torch
from benchmarks.cohorts import outputs
from benchmarks.harness.dask_processes import DaskProcesses, free_port
from support.cohort_cases import write_result
from support.dask_clusters import cluster_in_this_process

from zoo import UserError
from zoo.cohorts import dask_run
from zoo.cohorts.clusters import quiet_dask
from zoo.cohorts.dask_run import DaskRun, failure_of_task
from zoo.cohorts.record import is_finished, pending_jobs
from zoo.cohorts.summary import write_summary
from zoo.io.volume import read_volume, write_volume
from zoo.runtime.signals import StopSignal


@pytest.fixture(scope="module")
def cluster():
    with quiet_dask(), cluster_in_this_process() as started:
        yield started


def register(address, cohort, stop=None, settled=None):
    """Register what is pending; return the outcomes by name and the lines about the cluster."""
    outcomes, lines = {}, []

    def settle(job, failure):
        assert job.name not in outcomes
        outcomes[job.name] = failure
        if settled is not None:
            settled(len(outcomes))

    run = DaskRun(address, cohort, "cpu", 1, lines.append)
    run.register(pending_jobs(cohort), stop or StopSignal(), settle)
    return outcomes, lines


def test_every_pair_has_an_outcome_and_each_failure_its_reason(cluster, cohort, monkeypatch):
    """With one pair in flight at a time, each outcome makes the next submission."""
    monkeypatch.setattr(dask_run, "IN_FLIGHT", 1)
    unreadable, constant, sound = cohort.jobs
    unreadable.files.fixed.write_bytes(b"not an image")
    image = read_volume(constant.files.fixed)
    write_volume(constant.files.fixed, torch.ones(image.grid.shape), image.grid)
    outcomes, lines = register(cluster, cohort)
    assert outcomes[sound.name] is None
    assert unreadable.files.fixed.name in outcomes[unreadable.name]["reason"]
    assert "is constant" in outcomes[constant.name]["reason"]
    assert is_finished(sound, cohort)
    assert lines[0].startswith("dashboard: http://")


def test_a_pair_that_was_finished_in_the_meantime_is_not_registered_again(cluster, cohort):
    pending = pending_jobs(cohort)
    for job in pending:
        write_result(cohort, job, "ok", author=1)
    outcomes = {}
    run = DaskRun(cluster, cohort, "cpu", 1, lambda _: None)
    run.register(pending, StopSignal(), lambda job, failure: outcomes.update({job: failure}))
    assert outcomes == dict.fromkeys(pending)
    for job in pending:
        assert json.loads((job.folder / "result.json").read_text())["figures"] == {"author": 1}


def test_an_outcome_that_cannot_be_recorded_ends_the_run(cluster, cohort):
    """Its error is not taken for a lost connection, after which the pair would be tried again."""
    pending = pending_jobs(cohort)
    for job in pending:
        write_result(cohort, job)

    def refuse(*_):
        raise OSError(30, "read-only")

    with pytest.raises(OSError, match="read-only"):
        DaskRun(cluster, cohort, "cpu", 1, lambda _: None).register(pending, StopSignal(), refuse)


def test_a_full_disk_and_a_stop_end_the_run_without_failures(cluster, cohort, monkeypatch):
    full = shutil._ntuple_diskusage(0, 0, 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(UserError, match="free some space"):
        register(cluster, cohort)
    stop = StopSignal()
    stop.number = 15
    assert register(cluster, cohort, stop)[0] == {}
    assert pending_jobs(cohort) == list(cohort.jobs)


def test_a_worker_that_cannot_see_the_run_is_named_and_leaves(cohort):
    shutil.rmtree(cohort.folder)
    with quiet_dask(), cluster_in_this_process() as cluster:
        run = DaskRun(cluster, cohort, "cpu", 1, lambda _: None)
        with pytest.raises(UserError, match=r"the worker .* does not see .*run; choose an --out"):
            run.register(cohort.jobs, StopSignal(), lambda *_: None)
        end = time.monotonic() + 10
        while cluster.scheduler.workers and time.monotonic() < end:
            time.sleep(0.01)
        assert not cluster.scheduler.workers


def test_the_error_of_a_task_is_the_failure_of_its_pair_or_of_the_run():
    worker = SimpleNamespace(address="tcp://a:1")
    killed = distributed.KilledWorker("key", worker, 3)
    assert failure_of_task(killed)["reason"].startswith("4 worker processes ended while")
    assert failure_of_task(KeyError("x"))["reason"] == "KeyError: 'x'"
    with pytest.raises(UserError, match="the disk"):
        failure_of_task(UserError("the disk"))


def test_a_missing_scheduler_is_reported(cohort, monkeypatch):
    monkeypatch.setattr(dask_run, "CONNECT_SECONDS", 0.2)
    with quiet_dask(), pytest.raises(UserError, match=r"no connection to the scheduler tcp://127"):
        register(f"tcp://127.0.0.1:{free_port()}", cohort)


@pytest.fixture
def processes(tmp_path):
    with DaskProcesses(tmp_path) as started:
        yield started


@pytest.mark.slow
def test_a_killed_worker_a_restarted_scheduler_and_a_late_worker_change_no_result(
    processes, larger_study, larger_cohort, monkeypatch
):
    """The first worker is killed, and the second one loses its scheduler and ends by itself. The
    third one joins the new scheduler while the client waits.
    """
    monkeypatch.setattr(dask_run, "CONNECT_SECONDS", 120)
    cohort = larger_cohort
    first, second = processes.add_worker(), processes.add_worker()
    written = {}

    def restart():
        processes.scheduler.kill()
        processes.scheduler.wait()
        second.wait(120)
        written.update({p: p.stat().st_mtime_ns for p in cohort.folder.glob("*/result.json")})
        time.sleep(0.2)
        processes.start_scheduler()
        processes.add_worker()

    def disturb(count):
        if count == 1:
            first.kill()
        if count == 3:
            threading.Thread(target=restart).start()

    with quiet_dask():
        outcomes, lines = register(processes.address, cohort, settled=disturb)
    assert outcomes == {job.name: None for job in cohort.jobs}, processes.log()
    assert any("has left; others take over its pairs" in line for line in lines)
    assert any("connection to the scheduler is lost" in line for line in lines)
    assert 3 <= len(written) < len(cohort.jobs)
    assert all(path.stat().st_mtime_ns == at for path, at in written.items())
    write_summary(cohort)
    assert outputs(cohort.folder) == outputs(larger_study / "whole")
