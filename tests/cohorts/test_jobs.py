"""The jobs of a run: their folders, and when they are finished, failed or pending."""

import json
from pathlib import Path

import pytest
from support.cohort_cases import write_result

from zoo import UserError
from zoo.cohorts.jobs import (
    create_run_folder,
    failure_of,
    is_finished,
    is_settled,
    pending_jobs,
    plan_cohort,
    plan_of_run,
)
from zoo.cohorts.worker import record_failure
from zoo.datasets.pairs import PairFiles, unique_pair_names
from zoo.io.atomic import write_json
from zoo.planning.plan import for_a_pair, read_plan


def test_pairs_with_the_same_name_get_different_folders():
    files = [PairFiles(Path(f"{d}/a.nii.gz"), (Path(f"{d}/b.nii.gz"),)) for d in "xyz"]
    assert unique_pair_names(files) == ["a_b", "a_b-2", "a_b-3"]


def test_planning_a_cohort_writes_nothing(study, tmp_path):
    plan, folder = plan_of_run(study / "plan.json", None, tmp_path / "run")
    cohort = plan_cohort(plan, folder)
    assert [job.folder.parent for job in cohort.jobs] == [folder] * 3
    assert not folder.exists()


def test_the_default_folder_is_named_after_the_plan_and_the_split(study):
    for split in ("val", "train"):
        plan, folder = plan_of_run(study / "plan.json", split, None)
        assert (plan["split"], folder) == (split, study / f"plan-{split}")


def test_an_effort_replaces_that_of_the_plan_and_is_part_of_the_folders_name(study):
    plan, folder = plan_of_run(study / "plan.json", None, None, effort="fast")
    planned = read_plan(study / "plan.json")
    assert folder == study / f"plan-fast-{planned['split']}"
    assert plan["plan"]["effort"] == "fast"
    assert plan["most_voxels"] > 0
    assert "most_voxels" not in planned
    digests = {plan_cohort(p, folder).settings for p in (plan, planned)}
    assert len(digests) == 2


def test_a_plan_for_one_pair_is_refused(study, tmp_path):
    write_json(tmp_path / "pair.json", for_a_pair(read_plan(study / "plan.json")))
    with pytest.raises(UserError, match="is a plan for one pair"):
        plan_of_run(tmp_path / "pair.json", None, None)


def test_the_folder_of_another_run_is_refused_and_a_changed_plan_replaces_the_old(study, cohort):
    other = plan_cohort(*plan_of_run(study / "plan.json", None, cohort.folder))
    with pytest.raises(UserError, match="contains the run of another dataset_dir"):
        create_run_folder(other)
    create_run_folder(plan_cohort(cohort.plan | {"affine": "rigid"}, cohort.folder))
    assert json.loads((cohort.folder / "plan.json").read_text())["affine"] == "rigid"


def test_a_failure_settles_a_job_until_the_next_run(cohort):
    job = cohort.jobs[0]
    record_failure(cohort, job, UserError("the file\nis broken"))
    assert is_settled(job, cohort, None)
    pending = pending_jobs(cohort)
    assert list(pending) == list(cohort.jobs)
    assert not is_settled(job, cohort, pending[job])
    record_failure(cohort, job, UserError("still broken"))
    assert is_settled(job, cohort, pending[job])
    write_result(cohort, job)
    assert failure_of(job) is None
    assert is_finished(job, cohort)
    assert list(pending_jobs(cohort)) == list(cohort.jobs[1:])


@pytest.mark.parametrize("content", ["", "[]", '{"content": 3}', '{"content": {}}', "{"])
def test_a_result_that_cannot_be_read_does_not_finish_a_job(cohort, content):
    job = cohort.jobs[0]
    job.folder.mkdir()
    (job.folder / "result.json").write_text(content)
    assert not is_finished(job, cohort)
