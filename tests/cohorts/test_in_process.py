"""One process registers every pair and reports why others failed."""

import json

import torch
from support.cohort_cases import write_result

from zoo.cohorts.in_process import run_in_process
from zoo.cohorts.progress import CohortProgress
from zoo.cohorts.record import FAILURE, failure_of, is_finished, pending_jobs
from zoo.io.volume import read_volume, write_volume
from zoo.runtime.signals import StopSignal


def run(cohort, stop=None):
    """Register what is pending in this process; return the outcomes by the name of the pair."""
    pending = pending_jobs(cohort)
    progress = CohortProgress(cohort, len(pending), None)
    outcomes = {}

    def settled(job, failure):
        outcomes[job.name] = failure
        progress.settle(job, failure)

    run_in_process(cohort, pending, stop or StopSignal(), "cpu", settled)
    return outcomes


def test_pairs_that_cannot_be_loaded_or_registered_do_not_stop_the_others(cohort):
    unreadable, constant, sound = cohort.jobs
    unreadable.files.fixed.write_bytes(b"not an image")
    image = read_volume(constant.files.fixed)
    write_volume(constant.files.fixed, torch.ones(image.grid.shape), image.grid)
    outcomes = run(cohort)
    assert unreadable.files.fixed.name in failure_of(unreadable)["reason"]
    assert "is constant" in failure_of(constant)["reason"]
    assert is_finished(sound, cohort)
    assert {name for name, failure in outcomes.items() if failure} == {
        unreadable.name, constant.name
    }  # fmt: skip
    result = json.loads((sound.folder / "result.json").read_text())
    assert result["content"] == cohort.digest(sound)
    assert (sound.folder / "thumbnail.jpg").stat().st_size > 0


def test_after_a_stop_no_pair_is_registered_or_recorded_as_failed(cohort):
    stop = StopSignal()
    stop.number = 15
    write_result(cohort, cohort.jobs[0])
    assert run(cohort, stop) == {}
    assert pending_jobs(cohort) == list(cohort.jobs[1:])
    assert not list(cohort.folder.glob(f"*/{FAILURE}"))
