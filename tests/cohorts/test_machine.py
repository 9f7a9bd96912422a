"""Each worker gets its share of the machine."""

import os
from dataclasses import replace

import pytest
import torch

from zoo import UserError
from zoo.cohorts import machine
from zoo.cohorts.machine import (
    memory_warning,
    threads_per_process,
    visible_gpus,
    worker_memory_mib,
    worker_variables,
    workers_for,
)
from zoo.geometry import Grid
from zoo.io.volume import write_volume
from zoo.planning.memory import IMAGES, find_memory_model


def test_processors_are_shared_evenly_unless_a_number_is_set(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert [threads_per_process(None, n) for n in (1, 3, 20)] == [8, 2, 1]
    assert threads_per_process(5, 2) == 5
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert threads_per_process(None, 2) is None


@pytest.mark.parametrize(
    ("variable", "count", "gpus"),
    [(None, 2, ["0", "1"]), ("3, 5", 2, ["3", "5"]), ("GPU-a,GPU-b", 1, ["GPU-a"]), ("", 0, [])],
)
def test_the_gpus_are_those_that_this_process_may_use(monkeypatch, variable, count, gpus):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if variable is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert visible_gpus() == gpus


def test_each_worker_sees_one_gpu_unless_a_device_is_given():
    seen = [worker_variables(k, None, ["3", "5"])["CUDA_VISIBLE_DEVICES"] for k in range(3)]
    assert seen == ["3", "5", "3"]
    assert worker_variables(0, "cpu", ["3"]) == worker_variables(0, None, []) == {}


def test_auto_starts_what_the_processors_or_gpus_and_the_memory_allow(monkeypatch):
    monkeypatch.setattr(machine, "available_cores", lambda: 16)
    monkeypatch.setattr(machine, "available_memory", lambda: 10 << 30)
    assert workers_for("auto", None, [], None) == 16
    assert workers_for("auto", 2048, [], None) == 5
    assert workers_for("auto", 20480, [], None) == 1
    assert workers_for("auto", 2048, ["0", "1"], None) == 2
    assert workers_for("auto", 2048, ["0", "1"], "cpu") == 5
    assert workers_for("7", 2048, [], None) == workers_for(7, 2048, [], None) == 7
    for wrong in ("0", -1, "two", "1.5", ""):
        with pytest.raises(UserError, match="must be 1 or more, or auto"):
            workers_for(wrong, None, [], None)


def test_workers_that_may_need_too_much_memory_are_warned_about(monkeypatch):
    monkeypatch.setattr(machine, "available_memory", lambda: 10 << 30)
    assert memory_warning(5, 2048) is None
    assert memory_warning(1, 99999) is None
    assert memory_warning(8, None) is None
    assert "8 workers may need 16.0 GiB, and 10.0 GiB are free" in memory_warning(8, 2048)
    assert memory_warning(8, 2048).endswith("use --workers 5")


def test_the_memory_of_a_worker_is_that_of_the_largest_pair(cohort):
    """Reading and writing the images takes more than MCBO, unless the working grid is large."""
    mcbo, images = find_memory_model("mcbo mode=accurate"), find_memory_model(IMAGES)
    small = worker_memory_mib(cohort.jobs, cohort)
    assert small == pytest.approx(images.peak_mib(16**3) + 2 * 4 * 16**3 / 2**20)
    job = cohort.jobs[-1]
    job.files.fixed.unlink()
    write_volume(job.files.fixed, torch.zeros(100, 110, 120), Grid((100, 110, 120), torch.eye(4)))
    voxels = 100 * 110 * 120
    peak = max(mcbo.peak_mib(voxels), images.peak_mib(voxels))
    expected = peak + 4 * (voxels + 16**3) / 2**20
    assert worker_memory_mib(cohort.jobs, cohort) == pytest.approx(expected, rel=0.01)
    with_uncertainty = worker_memory_mib(cohort.jobs, replace(cohort, uncertainty=8))
    assert with_uncertainty - expected == pytest.approx((20 * voxels + 4 * 16**3) / 2**20, rel=0.01)


def test_a_pair_that_cannot_be_read_has_no_known_memory(cohort):
    for job in cohort.jobs:
        job.files.fixed.write_bytes(b"not an image")
    assert worker_memory_mib(cohort.jobs, cohort) is None
