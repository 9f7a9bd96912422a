"""One worker process: registers the pairs that it can, and records why others failed."""

import json
from dataclasses import replace

import pytest
import torch
from support.cohort_cases import write_result

from zoo import UserError
from zoo.cohorts.jobs import FAILURE, UNFINISHED, failure_of, is_finished, pending_jobs
from zoo.cohorts.processes import ProcessRank
from zoo.cohorts.worker import empty_folder, record_failure, register_jobs
from zoo.io.atomic import replace_folder, write_json
from zoo.io.volume import read_volume, write_volume
from zoo.runtime.signals import StopSignal


def test_pairs_that_cannot_be_loaded_or_registered_do_not_stop_the_others(cohort):
    unreadable, constant, sound = cohort.jobs
    unreadable.files.fixed.write_bytes(b"not an image")
    image = read_volume(constant.files.fixed)
    write_volume(constant.files.fixed, torch.ones(image.grid.shape), image.grid)
    register_jobs(cohort, pending_jobs(cohort), StopSignal(), "cpu", ProcessRank())
    assert unreadable.files.fixed.name in failure_of(unreadable)["reason"]
    assert "is constant" in failure_of(constant)["reason"]
    assert is_finished(sound, cohort)
    result = json.loads((sound.folder / "result.json").read_text())
    assert result["content"] == cohort.digest(sound)
    assert (sound.folder / "thumbnail.jpg").stat().st_size > 0
    assert 'id="viewer"' not in (sound.folder / "report.html").read_text()  # light


def test_the_report_of_a_pair_is_full_if_the_run_asks_for_it(cohort):
    full = replace(cohort, plan=cohort.plan | {"report": "full"}, jobs=cohort.jobs[:1])
    write_json(full.folder / "plan.json", full.plan)
    register_jobs(full, pending_jobs(full), StopSignal(), "cpu", ProcessRank())
    assert 'id="viewer"' in (full.jobs[0].folder / "report.html").read_text()


def test_after_a_stop_no_pair_is_registered_or_recorded_as_failed(cohort):
    stop = StopSignal()
    stop.number = 15
    register_jobs(cohort, pending_jobs(cohort), stop, "cpu", ProcessRank())
    assert len(pending_jobs(cohort)) == 3
    assert not list(cohort.folder.glob(f"*/{FAILURE}"))


@pytest.mark.parametrize(
    ("error", "reason", "has_traceback"),
    [
        (UserError("the file\nis broken"), "the file is broken", False),
        (ZeroDivisionError("no"), "ZeroDivisionError: no", True),
    ],
)
def test_only_the_failure_of_a_bug_has_a_traceback(cohort, error, reason, has_traceback):
    job = cohort.jobs[0]
    write_result(cohort, job)
    record_failure(cohort, job, error)
    failure = failure_of(job)
    assert failure["reason"] == reason
    assert ("traceback" in failure) == has_traceback
    assert not is_finished(job, cohort)


def test_leftovers_of_a_killed_worker_are_removed(cohort):
    job = cohort.jobs[0]
    leftover = cohort.folder / UNFINISHED / job.name / "warped.nii.gz"
    leftover.parent.mkdir(parents=True)
    leftover.touch()
    assert list(empty_folder(cohort, job).iterdir()) == []


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    for name, text in (("old", "1"), ("new", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.txt").write_text(text)
    replace_folder(tmp_path / "new", tmp_path / "old")
    assert [p.name for p in tmp_path.rglob("*.txt")] == ["new.txt"]
    assert [p.name for p in tmp_path.iterdir()] == ["old"]
